"""The clock of one process, which a test sets while it runs."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

LIBRARY = Path("vendor/libfaketime/src/libfaketime.so.1")


def find_library() -> Path | None:
    """Return the path of libfaketime, which is preloaded into the process; None where its package has none."""
    package = find_spec("libfaketime")
    found = package and [Path(folder) / LIBRARY for folder in package.submodule_search_locations or ()]
    return next((path for path in found or () if path.exists()), None)


class SetClock:
    """A wall clock; what a process measures by its monotonic clock stays right."""

    def __init__(self, library: Path, folder: Path) -> None:
        """Nothing is wrong with it at first; `folder` is where it keeps how far it is off."""
        self._file = folder / "clock"
        self.environ: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read at each question for the time.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Put it so far ahead of this machine's, behind it if negative."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}", "ascii")
        # In one step: the process may read it at any time.
        new.replace(self._file)

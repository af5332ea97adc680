"""Writes a prepared model folder atomically: it is either complete or absent."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.inference.model_folder import (
    FORMAT_VERSION,
    LABELS,
    MANIFEST,
    SAVED_MODEL,
    TFLITE,
    Manifest,
    ModelFolder,
    ModelFolderError,
    file_sha256,
)
from worker.prepare.errors import PrepareError
from worker.prepare.progress import say

# How a quantised model differs from the original. Not in the manifest: it holds times, which differ every time.
REPORT = "report.json"


def make_folder(folder: Path, name: str, find_flaw: Callable[[], str | None], make: Callable[[Path], None]) -> None:
    """Make the model folder of the model `name`, unless `find_flaw` returns None; `make` fills an empty folder."""
    # Check before locking as well: an intact folder may be on a read-only file system.
    if find_flaw() is None:
        return
    with locked(lock_of(folder)):
        flaw = find_flaw()
        if flaw is None:
            return
        if folder.exists():
            say(f"making the folder again: {flaw}")
        with replacing(folder) as making:
            make(making)
    say(f"{name} is ready in {folder}")


def flaw_of(folder: Path, origin: str) -> str | None:
    """Return why `folder` is not an intact model made from `origin`, or None."""
    try:
        found = ModelFolder.open(folder)
        found.verify_all()
    except ModelFolderError as error:
        return str(error)
    return None if found.manifest.source == origin else f"it was made from {found.manifest.source}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; wait while another process holds it.

    The file is not deleted: two processes could then lock different files of the same name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another preparation to end ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; if the block succeeds, it replaces `folder`. The caller holds `lock_of(folder)`.

    Raises PrepareError: `folder` contains something other than a prepared model.
    """
    if folder.exists() and not _holds_only_a_model(folder):
        raise PrepareError(
            f"{folder} contains other files than a prepared model: move it away or choose another folder"
        )
    making, old = folder.with_name(f".{folder.name}.making"), folder.with_name(f".{folder.name}.old")
    _remove(making, old)  # left by a killed preparation
    making.mkdir(parents=True)
    try:
        yield making
        if folder.exists():
            folder.rename(old)
        making.rename(folder)
    finally:
        _remove(making, old)


def lock_of(folder: Path) -> Path:
    """Return the lock file of a folder, which is next to it."""
    return folder.with_name(f".{folder.name}.lock")


def write_manifest(folder: Path, name: str, origin: str, input_size: tuple[int, int], class_count: int) -> None:
    """Write `model.json` for the files in `folder`; `input_size` is height, width in pixels."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    height, width = input_size
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        source=origin,
        input_height=height,
        input_width=width,
        class_count=class_count,
        files={path.relative_to(folder).as_posix(): file_sha256(path) for path in files},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    ModelFolder.open(folder)  # verifies that the new folder can be read


def _holds_only_a_model(folder: Path) -> bool:
    own = {MANIFEST, LABELS, SAVED_MODEL, TFLITE, REPORT}
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= own


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)

"""Remembers which batches were begun on this computer, in the user's folder for state."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from topthree_client.limits import check_id


@dataclass(frozen=True)
class BegunBatch:
    """A batch, the address of its service, when it was begun (ISO 8601), and the arguments that name its pictures."""

    id: str
    url: str
    begun: str
    pictures: str

    @property
    def begun_at(self) -> datetime:
        """When it was begun; ValueError or TypeError if `begun` is not a time."""
        return datetime.fromisoformat(self.begun).astimezone(UTC)

    def is_older_than(self, age: timedelta) -> bool:
        """Whether it was begun longer ago than this."""
        return datetime.now(UTC) - self.begun_at > age

    @classmethod
    def now(cls, batch_id: str, url: str, pictures: str) -> "BegunBatch":
        """Return a batch that begins now."""
        return cls(batch_id, url, datetime.now(UTC).isoformat(timespec="seconds"), pictures)


class BegunBatches:
    """A file for each batch, so that commands that run at the same time do not disturb each other."""

    def __init__(self, folder: Path | None) -> None:
        """The folder need not exist; None if the user has none."""
        self._folder = folder

    def add(self, batch: BegunBatch) -> None:
        """Remember a batch; OSError if that fails."""
        if self._folder is None:
            raise FileNotFoundError(errno.ENOENT, "there is no home folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{batch.id}.json").write_text(json.dumps(asdict(batch)), "ascii")

    def read(self) -> Sequence[BegunBatch]:
        """Return all batches, the latest first; files of others are left out."""
        files = self._folder.glob("*.json") if self._folder else ()
        found = [batch for file in files if (batch := _read(file))]
        return sorted(found, key=lambda batch: batch.begun, reverse=True)

    def drop(self, batch_id: str) -> None:
        """Forget a batch; OSError if that fails."""
        if self._folder:
            (self._folder / f"{batch_id}.json").unlink(missing_ok=True)


def begun_batches() -> BegunBatches:
    """Return the batches of this user: in $XDG_STATE_HOME/topthree, else in ~/.local/state/topthree."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return BegunBatches(None)
    return BegunBatches(state / "topthree" / "batches")


def _read(file: Path) -> BegunBatch | None:
    try:
        batch = BegunBatch(**json.loads(file.read_bytes()))
        check_id(batch.id, "a batch")
        _ = batch.begun_at
    except (OSError, TypeError, ValueError):
        return None
    return batch if isinstance(batch.url, str) and isinstance(batch.pictures, str) else None

"""One `make run` of this checkout: its data folder, and the lock that its processes hold."""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# All processes of a `make run` have ended within this time, however it ends.
STOP_SECONDS = 20
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Holder:
    """The `make run` that uses a folder: its process id and its port."""

    pid: int
    port: int


class InUse(Exception):
    """The folder is in use by another `make run`."""

    def __init__(self, holder: Holder | None) -> None:
        """`holder` is None if it is unknown."""
        super().__init__(holder)
        self.holder = holder


@dataclass(frozen=True)
class Instance:
    """The `make run` with this port, running or not."""

    port: int

    @property
    def folder(self) -> Path:
        """The data folder."""
        return ROOT / "var" / str(self.port)

    @property
    def redis_url_file(self) -> Path:
        """The file with the URL of the embedded Redis server, for commands in another terminal."""
        return self.folder / "redis.url"

    @property
    def settings_file(self) -> Path:
        """The file with further settings that such commands need, as JSON."""
        return self.folder / "settings.json"

    def claim(self) -> int:
        """Lock the folder and return the lock's descriptor: the folder is locked while any process has it open.

        Every process of the service inherits it, so an unlocked folder means that all of them have ended. Waits for
        the remaining processes of a `make run` that was killed.

        Raises:
            InUse: another `make run` uses the folder.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + STOP_SECONDS
        while not _take(lock, fcntl.LOCK_EX):
            holder = self.holder()
            if holder or time.monotonic() > deadline:
                os.close(lock)
                raise InUse(holder)
            time.sleep(POLL_SECONDS)
        self._sign()
        return lock

    def is_running(self) -> bool:
        """Whether any of its processes runs; OSError if the lock file cannot be read."""
        return _is_taken(self._lock_file)

    def holder(self) -> Holder | None:
        """Return the process that claimed the folder, None if it has ended; OSError as `is_running`."""
        if not _is_taken(self._holder_file):
            return None
        with suppress(ValueError):
            pid, port = map(int, self._holder_file.read_text("ascii").split())
            return Holder(pid, port)
        # The file is being written.
        return None

    @property
    def _lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def _holder_file(self) -> Path:
        return self.folder / "holder"

    def _sign(self) -> None:
        """Write the holder file and lock it; no process inherits the descriptor, so the lock ends with this process."""
        holder = os.open(self._holder_file, os.O_RDWR | os.O_CREAT, 0o600)
        # Block: `holder` of another process may hold a shared lock for a moment.
        fcntl.flock(holder, fcntl.LOCK_EX)
        os.ftruncate(holder, 0)
        os.pwrite(holder, f"{os.getpid()} {self.port}\n".encode(), 0)


def _take(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_taken(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that concurrent checks do not see each other as a running service.
        return not _take(file, fcntl.LOCK_SH)
    finally:
        os.close(file)

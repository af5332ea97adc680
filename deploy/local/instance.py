"""One `make run` of this checkout: its folder, and the lock that its processes hold."""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# However `make run` ends, its processes are gone after this time.
STOP_SECONDS = 20
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Holder:
    """The `make run` that uses a folder: its process id and its port."""

    pid: int
    port: int


class InUse(Exception):
    """Another `make run` uses the folder."""

    def __init__(self, holder: Holder | None) -> None:
        """`holder` is None if it cannot be told which."""
        super().__init__(holder)
        self.holder = holder


@dataclass(frozen=True)
class Instance:
    """The `make run` with this port, whether it runs or not."""

    port: int

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return ROOT / "var" / str(self.port)

    @property
    def redis_url_file(self) -> Path:
        """What holds the URL of its Redis, for those who look after the service from another terminal."""
        return self.folder / "redis.url"

    def claim(self) -> int:
        """Take the folder for this process and return a descriptor: the folder is taken while anybody has it open.

        Every process of the service inherits it, so that a free folder means that none of them is left. Waits for
        the processes of a `make run` that was killed.

        Raises:
            InUse: another one runs.
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
        """Whether any process of it is there; OSError if that cannot be told."""
        return _is_taken(self._lock_file)

    def holder(self) -> Holder | None:
        """Return who has claimed the folder, None if that process is gone; OSError as `is_running`."""
        if not _is_taken(self._holder_file):
            return None
        with suppress(ValueError):
            pid, port = map(int, self._holder_file.read_text("ascii").split())
            return Holder(pid, port)
        # It is being written.
        return None

    @property
    def _lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def _holder_file(self) -> Path:
        return self.folder / "holder"

    def _sign(self) -> None:
        """Tell who this process is; no other inherits the descriptor, so that it counts while this process lives."""
        holder = os.open(self._holder_file, os.O_RDWR | os.O_CREAT, 0o600)
        # Whoever looks has it for a moment.
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
        # Shared: two who look do not take each other for a service.
        return not _take(file, fcntl.LOCK_SH)
    finally:
        os.close(file)

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
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + STOP_SECONDS
        while not _take(lock, fcntl.LOCK_EX):
            holder = _read_holder(lock)
            if (holder and is_alive(holder.pid)) or time.monotonic() > deadline:
                os.close(lock)
                raise InUse(holder)
            time.sleep(POLL_SECONDS)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {self.port}\n".encode(), 0)
        return lock

    def is_running(self) -> bool:
        """Whether any process of it is there; OSError if that cannot be told."""
        return self._look()[0]

    def holder(self) -> Holder | None:
        """Return who uses the folder; None if nobody does, or it is just being taken; OSError as `is_running`."""
        return self._look()[1]

    def _look(self) -> tuple[bool, Holder | None]:
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False, None
        try:
            # Shared: two who look do not take each other for a service.
            return (False, None) if _take(lock, fcntl.LOCK_SH) else (True, _read_holder(lock))
        finally:
            os.close(lock)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(lock: int) -> Holder | None:
    with suppress(ValueError):
        pid, port = map(int, os.pread(lock, 100, 0).split())
        return Holder(pid, port)
    return None

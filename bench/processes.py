"""Processes that the bench starts, ends by their ids, and looks at in /proc: processor time, memory."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """A contestant ended or did not answer in time."""


class Process:
    """A child process in a session of its own, whose output goes to a file."""

    def __init__(self, command: list[str], log: Path, environ: dict[str, str]) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def stop(self, seconds: float = 15) -> None:
        """End it by SIGTERM and, what is left of it and its children after a while, by SIGKILL."""
        children = tree(self.pid) if self.running else []
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        for pid in [*children, self.pid]:
            with suppress(ProcessLookupError):
                if pid == self.pid or _session(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
        self._popen.wait(10)


def wait_until(ready: Callable[[], bool], processes: list[Process], seconds: float = 180) -> None:
    """Wait until `ready` says so; NotReady with the end of the log when a process ends or time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        for process in processes:
            if not process.running or time.monotonic() > deadline:
                told = process.log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
                raise NotReady(" | ".join(told) or f"no answer within {seconds:.0f} s")
        time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """Return the id and those of all its descendants, parents first."""
    found = [pid]
    for parent in found:
        found.extend(children(parent))
    return found


def children(pid: int) -> list[int]:
    """Return the ids of the children of every thread of a process."""
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for file in files for child in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that the processes have used."""
    return sum(_cpu(pid) for pid in pids)


def machine_seconds() -> tuple[float, float]:
    """Return the busy and the idle time of all cores since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / _TICKS, idle / _TICKS


def memory_mib(pid: int) -> float:
    """Return the proportional set size of a process."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _session(pid: int) -> int:
    with suppress(OSError):
        return os.getsid(pid)
    return -1

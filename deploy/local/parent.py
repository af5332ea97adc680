"""The `make` that runs the service."""

import os
import re
import signal
from pathlib import Path

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Parent:
    """Tells whether `make` has ended, or wants to.

    GNU make waits for its children when a signal to end reaches it alone, as a hang-up does where it is the first
    program of a window (`xterm -e make run`). It does not pass the signal on, except SIGTERM. All that can be seen of
    it is that make no longer catches this signal; Linux tells that.
    """

    def __init__(self, pid: int) -> None:
        """`pid` is the process that is expected to be the parent of this one."""
        self._pid = pid
        self._caught = _caught(pid)

    def ends(self) -> bool:
        """Whether it has ended or is waiting for this process to end."""
        return os.getppid() != self._pid or not self._caught <= _caught(self._pid)


def _caught(pid: int) -> set[signal.Signals]:
    """Return the signals to end that a process has a handler for, none where that is not known."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
    except OSError:
        return set()
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    return {number for number in ENDING if mask >> (number - 1) & 1}

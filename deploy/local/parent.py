"""The `make` process that runs the service."""

import os
import re
import signal
from pathlib import Path

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Parent:
    """Detects whether `make` has ended or got a signal to end.

    If only GNU make gets such a signal, it waits for its children and does not forward it, except SIGTERM. SIGHUP
    reaches make alone if make is the first program of a terminal window (`xterm -e make run`). The only visible effect
    is that make no longer catches the signal, which Linux shows in /proc.
    """

    def __init__(self, pid: int) -> None:
        """`pid` is the process id of the expected parent."""
        self._pid = pid
        self._caught = _caught(pid)

    def ends(self) -> bool:
        """Whether the parent has ended or is waiting for this process to end."""
        return os.getppid() != self._pid or not self._caught <= _caught(self._pid)


def _caught(pid: int) -> set[signal.Signals]:
    """Return the signals in ENDING that a process has a handler for; empty if unknown."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
    except OSError:
        return set()
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    return {number for number in ENDING if mask >> (number - 1) & 1}

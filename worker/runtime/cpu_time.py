"""How much CPU time another process has had."""

import os
from contextlib import suppress
from pathlib import Path

# A job that is out of time while its picture is decoded, and which has had no more CPU time for that, was held up by
# something else.
OWN_SECONDS = 1.0

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, all its threads included; 0 if it is gone, or not on Linux."""
    with suppress(OSError):
        # Its name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0

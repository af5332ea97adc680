"""CPU time of another process."""

import os
from contextlib import suppress
from pathlib import Path

# If decoding exceeds the time limit but has used no more CPU time than this, the picture is not the cause.
OWN_SECONDS = 1.0

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads; 0 if it has ended, and on other systems than Linux."""
    with suppress(OSError):
        # The process name, in brackets, may contain any character.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0

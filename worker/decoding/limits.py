"""Bounds the memory that one job may take in a child, while it runs."""

import resource
from pathlib import Path

# Anonymous memory of a process in Linux' own words; other systems have no such file, and no limit then.
STATUS = Path("/proc/self/status")


def limit_memory(extra_bytes: int) -> None:
    """Let this process allocate `extra_bytes` more than it has now; what wants more gets a MemoryError.

    Called when the model is loaded and warm, so that the limit is the job's own.
    """
    if not STATUS.exists():
        return
    lines = STATUS.read_text("ascii").splitlines()
    used_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used_kib * 1024 + extra_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))

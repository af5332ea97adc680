"""Memory limit of a process that runs jobs."""

import resource
from pathlib import Path

# Linux reports the process's memory here; other systems lack this file, so no limit is set there.
STATUS = Path("/proc/self/status")


def limit_memory(extra_bytes: int) -> None:
    """Limit this process to `extra_bytes` more than it uses now; beyond that, allocations raise MemoryError.

    Call it once the model is loaded and warm, so that the limit applies to the job alone.
    """
    if not STATUS.exists():
        return
    lines = STATUS.read_text("ascii").splitlines()
    used_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used_kib * 1024 + extra_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))

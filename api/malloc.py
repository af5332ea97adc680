"""Makes glibc return the memory of large pictures to the system as soon as it is freed."""

import ctypes
from contextlib import suppress

# mallopt option: blocks from this size on are allocated with mmap, and unmapped when freed.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Fix the mmap threshold, which glibc otherwise raises up to 32 MiB; does nothing without glibc.

    Otherwise each thread keeps the memory of its largest pictures in its own heap: an API that received pictures of
    19 MiB, one at a time, grew beyond 500 MiB.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)

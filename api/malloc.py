"""Has this process give the memory of large pictures back as soon as they are gone."""

import ctypes
from contextlib import suppress

# glibc's name for: the size from which a block is a mapping of its own, which is unmapped when it is freed.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Fix that size, which glibc raises to 32 MiB by itself; elsewhere nothing is done.

    Each of many threads would keep the room of its largest pictures in a heap of its own: an API that got pictures of
    19 MiB, one at a time, grew beyond 500 MiB.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)

"""Configures glibc's memory allocator; does nothing with other C libraries."""

import ctypes
from contextlib import suppress

# mallopt options: how much free memory at the end of the heap is kept, and from which size on blocks are allocated with
# mmap, and unmapped when freed. Setting either stops glibc from adapting both.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# For many threads that hold large pictures now and then.
LARGE_BYTES = 64 * 1024
# For one thread that needs the same blocks for every picture: the pixels of most pictures are smaller than the first.
VERY_LARGE_BYTES, KEPT_BYTES = 8 * 1024 * 1024, 32 * 1024 * 1024


def return_large_blocks() -> None:
    """Fix the mmap threshold, which glibc otherwise raises up to 32 MiB.

    Otherwise each thread keeps the memory of its largest pictures in its own heap: an API that received pictures of
    19 MiB, one at a time, grew beyond 500 MiB.
    """
    _set(M_MMAP_THRESHOLD, LARGE_BYTES)


def keep_freed_blocks() -> None:
    """Keep freed memory for the next picture instead of returning it to the kernel.

    Otherwise each picture of 512 x 512 costs 460 page faults, 10 % of its CPU time; keeping it takes 3 MB.
    """
    _set(M_MMAP_THRESHOLD, VERY_LARGE_BYTES)
    _set(M_TRIM_THRESHOLD, KEPT_BYTES)


def _set(option: int, value: int) -> None:
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(option, value)

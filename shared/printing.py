"""Prints lists that somebody may read with `head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print in this block; if whoever reads standard output has left, the rest is dropped without an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

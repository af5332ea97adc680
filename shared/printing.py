"""Prints for people: lists that they may read with `head`, numbers with their nouns."""

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


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which forms its plural with -s, or with -es after s."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"

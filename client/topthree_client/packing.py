"""Packs pictures into requests: not too many, and not too many bytes, in one."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

# The service accepts no more pictures in a request.
MOST_PICTURES = 100
# The service accepts 64 MiB. Small requests are lost less often on slow lines and cost less when they are repeated, and
# above some megabytes a request is not cheaper per picture.
MOST_BYTES = 8 * 1024 * 1024

T = TypeVar("T")


def packed(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the items in lists that fit into a request; an item that is too large for any is alone."""
    group: list[T] = []
    total_bytes = 0
    for item in items:
        size = size_of(item)
        if group and (len(group) == MOST_PICTURES or total_bytes + size > MOST_BYTES):
            yield group
            group, total_bytes = [], 0
        group.append(item)
        total_bytes += size
    if group:
        yield group

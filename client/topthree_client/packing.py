"""Packs pictures into requests: not too many, and not too many bytes, in one."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from topthree_client.uploads import RequestSize

# The service accepts no more pictures in a request.
MOST_PICTURES = 100

T = TypeVar("T")


def packed(items: Iterable[T], size_of: Callable[[T], int], limit: RequestSize) -> Iterator[list[T]]:
    """Yield the items in lists that fit into a request; an item that is too large for any is alone."""
    group: list[T] = []
    total_bytes = 0
    for item in items:
        size = size_of(item)
        if group and (len(group) == MOST_PICTURES or total_bytes + size > limit.most_bytes):
            yield group
            group, total_bytes = [], 0
        group.append(item)
        total_bytes += size
    if group:
        yield group

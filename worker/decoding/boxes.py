"""Reads boxes and numbers of ISO base media files (ISO/IEC 14496-12), within a limit."""

from collections.abc import Iterator
from dataclasses import dataclass

# Total of boxes, items, extents, references and properties. Real files have a few hundred; libheif accepts 1,000 items.
MAX_ENTRIES = 30_000
DAMAGED = "the list of its parts is damaged"


@dataclass(frozen=True)
class Box:
    """The name and the content of a box."""

    name: bytes
    content: memoryview


class Budget:
    """Limits the work for one file."""

    def __init__(self) -> None:
        self._left = MAX_ENTRIES

    def take(self, count: int) -> range:
        """Use up `count` entries and return `range(count)`; ValueError if too few are left."""
        self._left -= count
        if self._left < 0:
            raise ValueError("it has too many parts")
        return range(count)


class BoxReader:
    """Reads big-endian numbers and boxes; raises ValueError beyond the end."""

    def __init__(self, data: memoryview, budget: Budget) -> None:
        self.budget = budget
        self._data = data
        self._place = 0

    def inside(self, box: Box, skip: int = 0) -> "BoxReader":
        """Return a reader of the content of a box."""
        return BoxReader(box.content[skip:], self.budget)

    def number(self, size: int) -> int:
        """Return the next number of `size` bytes; 0 for a size of 0."""
        end = self._place + size
        if end > len(self._data):
            raise ValueError(DAMAGED)
        found = int.from_bytes(self._data[self._place : end])
        self._place = end
        return found

    def version(self) -> int:
        """Return the version of a full box and skip its flags."""
        return self.number(4) >> 24

    def boxes(self) -> Iterator[Box]:
        """Yield the boxes up to the end; the content of a box that is cut off is shorter."""
        while self._place + 8 <= len(self._data):
            self.budget.take(1)
            start = self._place
            size, name = self.number(4), self.number(4).to_bytes(4)
            if size == 1:
                size = self.number(8)
            end = start + size if size else len(self._data)
            if end < self._place:
                raise ValueError(DAMAGED)
            yield Box(name, self._data[self._place : end])
            self._place = end

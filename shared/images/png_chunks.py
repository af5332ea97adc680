"""The chunks of PNG files."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from shared.errors import UnsupportedPicture
from shared.images.formats import TOO_LONG

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK_HEAD = struct.Struct(">I4s")
# Real files have a few thousand at most.
MOST_CHUNKS = 100_000


class Chunk(NamedTuple):
    """A chunk: its position in the file, its content, and the whole chunk with length, name and checksum.

    If the file is cut off, `content` and `whole` of the last chunk are too short.
    """

    name: bytes
    start: int
    end: int
    content: memoryview
    whole: memoryview

    @property
    def is_critical(self) -> bool:
        """Whether readers must not skip it."""
        return self.name[:1].isupper()


def png_chunks(view: memoryview, place: int = len(PNG_SIGNATURE)) -> Iterator[Chunk]:
    """Yield the chunks of a file from `place` up to its end or a damaged name.

    Raises:
        UnsupportedPicture: there are more than MOST_CHUNKS.
    """
    for _ in range(MOST_CHUNKS):
        if place + CHUNK_HEAD.size > len(view):
            return
        length, name = CHUNK_HEAD.unpack_from(view, place)
        end = place + length + 12
        yield Chunk(name, place, end, view[place + 8 : end - 4], view[place:end])
        if name == b"IEND" or not name.isalpha():
            return
        place = end
    raise UnsupportedPicture(TOO_LONG.format("PNG"))

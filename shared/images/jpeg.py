"""Reads the segments of JPEGs, and describes JPEGs that are not accepted."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

# Real files have fewer than a hundred.
MOST_SEGMENTS = 2_000
_STARTS_OF_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_JPEG_LS = 0xF7
_READ_CHANNELS = (1, 3, 4)


class Segment(NamedTuple):
    """A marker segment outside of the pixels; `content` follows its length field."""

    marker: int
    content: bytes
    end: int


def segments(data: bytes, place: int = 2) -> Iterator[Segment]:
    """Yield the segments from `place` on, until something else follows."""
    for _ in range(MOST_SEGMENTS):
        while data[place : place + 2] == b"\xff\xff":
            place += 1
        if len(data) < place + 4 or data[place] != 0xFF:
            return
        marker, length = struct.unpack_from(">BH", data, place + 1)
        end = place + 2 + length
        yield Segment(marker, data[place + 4 : end], end)
        place = end


def start_of_frame(data: bytes) -> Segment | None:
    """Return the segment that describes the picture: its coding, depth, size and channels; None if it is missing."""
    return next((each for each in segments(data) if each.marker in _STARTS_OF_FRAME), None)


def is_lossless_jpeg(data: bytes) -> bool:
    """Return whether `data` is a JPEG with a lossless coding."""
    frame = start_of_frame(data)
    return frame is not None and frame.marker in _LOSSLESS


def unsupported_jpeg(data: bytes) -> str:
    """Describe a JPEG that Pillow refuses, with an article; "" if the reason is unknown."""
    frame = start_of_frame(data)
    if frame is None or len(frame.content) < 6:
        return ""
    bits, channels = frame.content[0], frame.content[5]
    if frame.marker == _JPEG_LS:
        return "a JPEG-LS picture"
    if bits != 8:
        return f"a {'lossless ' if frame.marker in _LOSSLESS else ''}JPEG with {bits} bits a sample"
    return "" if channels in _READ_CHANNELS else f"a JPEG with {channels} channels"

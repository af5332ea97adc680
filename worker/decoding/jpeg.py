"""Completes JPEGs that lack only their end marker."""

import io
import re
import zlib

from PIL import Image

from shared.images.jpeg import segments, start_of_frame

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_SCAN = 0xDA
# Codings by coefficients: baseline, sequential and progressive.
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
# A marker that ends the pixels of a scan: any except those allowed between pixels.
_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_COEFFICIENTS = 64
# Real files have about ten.
_MOST_SCANS = 1000
# What may replace the end marker: zeros or text. The margin: how many of the last bytes of pixels may look like text.
_ZERO, _TEXT = b"\0", bytes((*b"\t\n\r", *range(32, 127)))
_TEXT_MARGIN = 4
# Bits that no encoder writes, then the same after each restart marker.
_NOISE = bytes((0xA5, 0x3C, 0x96, 0xE1)) * 64
_FILLING = _NOISE + b"".join(b"\xff" + bytes((0xD0 + number,)) + _NOISE for number in range(8))


def with_end(data: bytes) -> bytes | None:
    """Return a JPEG that cannot be decoded with an end marker, if it lacks nothing else; None for all other files.

    It decodes the picture at full size, two or four times.
    """
    if not data.startswith(_START):
        return None
    # Remove half an end marker.
    pixels = _without_trailing_bytes(data.rstrip(b"\xff"))
    # The pixels themselves may end with a zero.
    for each in (pixels, pixels + _ZERO) if data.startswith(pixels + _ZERO) else (pixels,):
        if _has_all_scans(each) and _is_whole(each):
            return each + _END
    return None


def _without_trailing_bytes(data: bytes) -> bytes:
    """Return `data` without trailing zeros or text, which the decoder would read as pixels."""
    zeros = len(data) - len(data.rstrip(_ZERO))
    if zeros and data[-zeros - 1 : -zeros] == b"\xff":
        zeros -= 1  # encoders write a zero after each 0xff among the pixels
    text = len(data) - len(data.rstrip(_TEXT))
    return data[: len(data) - max(zeros, text - _TEXT_MARGIN, 0)]


def _is_whole(data: bytes) -> bool:
    """Return whether all pixels are there.

    The decoder silently fills in missing ones. If none is missing, extra bits after `data` make no difference.
    """
    pixels = _checksum(data + _END)
    return pixels is not None and pixels == _checksum(data + _FILLING + _END)


def _has_all_scans(data: bytes) -> bool:
    """Return whether there is a scan for every bit of every coefficient, and the last scan extends to the end."""
    frame = start_of_frame(data)
    if frame is None or frame.marker not in _FRAMES:
        return False
    missing = {(channel, number) for channel in frame.content[6::3] for number in range(_COEFFICIENTS)}
    place = 2
    for _ in range(_MOST_SCANS):
        scan = next((each for each in segments(data, place) if each.marker == _START_OF_SCAN), None)
        if scan is None:
            return False
        missing -= _completed(scan.content)
        marker = _MARKER.search(data, scan.end)
        if marker is None:
            return not missing
        place = marker.end() - 2
    return False


def _completed(scan: bytes) -> set[tuple[int, int]]:
    """Return channel and number of the coefficients whose last bit is in a scan."""
    if len(scan) < 6 or scan[-1] & 15:
        return set()
    return {(channel, number) for channel in scan[1:-3:2] for number in range(scan[-3], scan[-2] + 1)}


def _checksum(data: bytes) -> int | None:
    """Return a checksum of the pixels, None if they cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return zlib.crc32(image.tobytes())
    except (OSError, SyntaxError, ValueError):
        return None

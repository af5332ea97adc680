"""Compares the length of a file (HEIC, AVIF, WebP, TIFF) with the length that it declares."""

from typing import Literal

# The second number of a BigTIFF.
BIG_TIFF = 43
# A file of a camera has about five outermost boxes.
MOST_BOXES = 1000


def is_cut_off(name: str, data: bytes) -> bool:
    """Whether a file of the accepted format `name` is shorter than it says itself; False for formats that do not say.

    The lengths are those of ISO/IEC 14496-12 (4.2) for HEIC and AVIF, of RIFF for WebP, and of the first directory for
    TIFF (TIFF 6.0, section 2), which most programs write last.
    """
    match name:
        case "WebP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case "HEIC" | "AVIF":
            return _ends_in_a_box(data)
        case "TIFF":
            return _ends_in_a_directory(data)
    return False


def _ends_in_a_box(data: bytes) -> bool:
    place = 0
    for _ in range(MOST_BOXES):
        if place >= len(data):
            break
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 0:
            # The last box ends with the file.
            return False
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size < 8:
            return False
        place += size
    return place > len(data)


def _ends_in_a_directory(data: bytes) -> bool:
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], order)

    is_big = number(2, 2) == BIG_TIFF
    offset, count_size, entry_size = (number(8, 8), 8, 20) if is_big else (number(4, 4), 2, 12)
    end_of_count = offset + count_size
    return len(data) < end_of_count or len(data) < end_of_count + number(offset, count_size) * entry_size

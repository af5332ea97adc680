"""Corrects BMPs that Pillow misreads, and describes those that it refuses."""

import struct

_CORE = 12
_HEADER_SIZES = (_CORE, 40, 52, 56, 64, 108, 124)
_LONGEST_HEADER = 256
_BITS, _MOST_BITS = (1, 4, 8, 16, 24, 32), 64
# 3 and 4 also stand for Huffman and RLE24 in files of OS/2.
_COMPRESSIONS = {
    3: "an unusual order of color bits",
    4: "a JPEG or RLE24 in it",
    5: "a PNG in it",
    **dict.fromkeys((11, 12, 13), "CMYK colors"),
}
_COUNT_AT = 46


def corrected_bmp(data: bytes) -> bytes:
    """Return `data`, or a copy that Pillow reads correctly.

    If a palette is black and white, Pillow assumes one bit per pixel. A third, unused color prevents this.
    """
    if len(data) < _COUNT_AT + 4:
        return data
    size, bits, colors = struct.unpack_from("<I10xH16xI", data, 14)
    if size == _CORE or bits not in (4, 8) or colors != 2:
        return data
    return data[:_COUNT_AT] + struct.pack("<I", 3) + data[_COUNT_AT + 4 :]


def unsupported_bmp(data: bytes) -> str:
    """Describe a BMP that Pillow refuses, with an article; "" if the reason is unknown."""
    if len(data) < _COUNT_AT:
        return ""
    (size,) = struct.unpack_from("<I", data, 14)
    if size in _HEADER_SIZES:
        (bits,) = struct.unpack_from("<H", data, 24 if size == _CORE else 28)
        (compression,) = (0,) if size == _CORE else struct.unpack_from("<I", data, 30)
        reason = _layout(bits, compression)
    else:
        reason = f"a header of {size} bytes" if _CORE < size <= _LONGEST_HEADER else ""
    return reason and f"a BMP with {reason}"


def _layout(bits: int, compression: int) -> str:
    if bits not in _BITS:
        return f"{bits} bits a pixel" if bits <= _MOST_BITS else ""
    return _COMPRESSIONS.get(compression, "")

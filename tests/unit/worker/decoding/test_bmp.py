"""BMPs of every kind that is read are right."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.images.inspect import inspect_picture, set_up_pillow
from worker.decoding.decode import decode

SIDE = 16
BITS = (np.add.outer(np.arange(SIDE) // 3, np.arange(SIDE) // 5) % 2).astype(np.uint8)
BLACK_WHITE = b"\0\0\0\0\xff\xff\xff\0"


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def bmp(
    pixels: bytes, bits: int, palette: bytes = b"", *, size: int = 40, compression: int = 0, colors: int = 0
) -> bytes:
    """Return a BMP of SIDE x SIDE; its rows are stored from below."""
    header = struct.pack("<IiiHHIIiiII", size, SIDE, SIDE, 1, bits, compression, len(pixels), 0, 0, colors, 0)
    body = header.ljust(size, b"\0") + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(pixels), 0, 0, 14 + len(body)) + body + pixels


def packed(indices: NDArray[np.uint8], bits: int) -> bytes:
    if bits == 4:
        return (indices[::-1, ::2] << 4 | indices[::-1, 1::2]).astype(np.uint8).tobytes()
    return indices[::-1].astype(np.uint8).tobytes()


def runs(indices: NDArray[np.uint8]) -> bytes:
    rows = (b"".join(bytes((1, value)) for value in row) + b"\0\0" for row in indices[::-1].tolist())
    return b"".join(rows) + b"\0\1"


@pytest.mark.parametrize("size", [40, 64, 108, 124])
@pytest.mark.parametrize("colors", [0, 2])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_palette_of_black_and_white_is_right(bits: int, colors: int, size: int) -> None:
    # Given a BMP of more than one bit a pixel with two colors, from each generation of headers, also of OS/2
    palette = BLACK_WHITE if colors else BLACK_WHITE.ljust(4 << bits, b"\x80")
    data = bmp(packed(BITS, bits), bits, palette, size=size, colors=colors)
    # Then it is black and white
    assert inspect_picture(data).width == SIDE
    assert np.array_equal(decode(data, SIDE, SIDE)[..., 0], BITS)


@pytest.mark.parametrize("palette", [BLACK_WHITE, b"\0\0\0\0\0\0\xff\0"], ids=["black and white", "black and red"])
def test_runs_of_two_colors_are_right(palette: bytes) -> None:
    data = bmp(runs(BITS), 8, palette, compression=1, colors=2)
    assert np.array_equal(decode(data, SIDE, SIDE)[..., 0], BITS)


@pytest.mark.parametrize("alpha", [0, 1])
def test_empty_alpha_bytes_mean_nothing(alpha: int) -> None:
    # Given a BMP with an alpha mask
    values = np.full((SIDE, SIDE, 4), (30, 60, 90, 0), np.uint8)
    values[0, 0, 3] = alpha
    header = struct.pack("<IiiHHIIiiII", 124, SIDE, SIDE, 1, 32, 3, values.nbytes, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    body = (header + masks).ljust(124, b"\0")
    data = b"BM" + struct.pack("<IHHI", 14 + len(body) + values.nbytes, 0, 0, 14 + len(body)) + body + values.tobytes()
    # Then it is opaque if all alpha bytes are 0, as in browsers; else it is transparent where they are
    expected = (255, 255, 255) if alpha else (90, 60, 30)
    assert tuple(round(255 * value) for value in decode(data, SIDE, SIDE)[8, 8]) == expected

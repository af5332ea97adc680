"""TIFFs of every layout become the picture they show."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.images.inspect import inspect_picture, set_up_pillow
from tests.support.pictures import encode
from tests.support.tiffs import Layout, write_tiff
from worker.decoding.decode import decode

HEIGHT, WIDTH = 37, 53
# Half a level of rounding either way.
LEVEL = 1.01 / 255
GREY = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
COLORS = np.stack([GREY, np.tile(np.linspace(0, 1, HEIGHT)[:, np.newaxis], (1, WIDTH)), 1 - GREY], axis=2)
ALPHA = np.full((HEIGHT, WIDTH, 1), 0.5)
LAYOUTS = {
    f"{'MM' if big_endian else 'II'}, {'deflated' if deflated else 'plain'}, {'tiles' if tile else 'strips'}": Layout(
        big_endian=big_endian, deflated=deflated, tile=tile
    )
    for big_endian in (False, True)
    for deflated in (False, True)
    for tile in (0, 16)
}


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def stored(values: NDArray[np.float64], kind: str, white: float) -> NDArray[np.generic]:
    scaled = values * white
    return (scaled if kind.startswith("f") else np.rint(scaled)).astype(kind)


def decoded(data: bytes) -> NDArray[np.float32]:
    """The picture, as a client gets it: through the header check and the decoder."""
    assert inspect_picture(data).width == WIDTH
    return decode(data, HEIGHT, WIDTH)


def grey_error(data: bytes, expected: NDArray[np.float64]) -> float:
    return float(np.abs(decoded(data) - expected[..., np.newaxis]).max())


GREYS: dict[str, tuple[str, int, float]] = {
    **{"4 bits": ("u1", 4, 15), "8 bits": ("u1", 8, 255), "12 bits": ("u2", 12, 4095)},
    **{f"{bits} bits in 16": ("u2", 16, 2**bits - 1) for bits in (8, 10, 12, 14, 16)},
    **{f"{bits} bits in 32": ("u4", 32, 2**bits - 1) for bits in (8, 12, 16, 31, 32)},
    **{"signed, 12 bits in 16": ("i2", 16, 4095), "signed, 16 bits": ("i2", 16, 32_767)},
    **{"signed, 32 bits": ("i4", 32, 2**31 - 1), "floats": ("f4", 32, 1), "floats to 255": ("f4", 32, 255)},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("kind", GREYS)
@pytest.mark.parametrize("white_is_zero", [False, True], ids=["black is zero", "white is zero"])
def test_greys_are_right(kind: str, layout: Layout, white_is_zero: bool) -> None:
    # Given a gradient in greys of some depth
    sample, bits, white = GREYS[kind]
    data = write_tiff(stored(GREY, sample, white), replace(layout, bits=bits, photometric=0 if white_is_zero else 1))
    # Then it is from black to white, or the other way
    assert grey_error(data, 1 - GREY if white_is_zero else GREY) < (0.04 if bits == 4 else LEVEL)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_colors_are_right(layout: Layout, planar: bool, bits: int) -> None:
    # Given colors with and without a fourth channel
    white, kind, layout = 2**bits - 1, f"u{bits // 8}", replace(layout, planar=planar, photometric=2)
    with_alpha = np.concatenate([COLORS, ALPHA], axis=2)
    multiplied = np.concatenate([COLORS * ALPHA, ALPHA], axis=2)
    on_white = COLORS / 2 + 0.5
    files = (
        (COLORS, {}, COLORS),
        (with_alpha, {338: (2,)}, on_white),
        (multiplied, {338: (1,)}, on_white),
        (with_alpha, {338: (0,)}, COLORS),
    )
    for samples, tags, expected in files:
        data = write_tiff(stored(samples, kind, white), replace(layout, tags=tags))
        # Then they are as they were, on white
        assert np.abs(decoded(data) - expected).max() < 2 * LEVEL, tags


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_inks_are_right(layout: Layout, planar: bool, bits: int) -> None:
    inks = np.concatenate([1 - COLORS, np.zeros_like(ALPHA)], axis=2)
    samples = stored(inks, f"u{bits // 8}", 2**bits - 1)
    found = decoded(write_tiff(samples, replace(layout, planar=planar, photometric=5)))
    assert np.abs(found - COLORS).max() < 2 * LEVEL


@pytest.mark.parametrize(("bits", "levels"), [(10, 255 / 3), (12, 255 / 15), (14, 255 / 63)])
def test_colors_of_fewer_bits_than_16_are_not_dark(bits: int, levels: float) -> None:
    # Given colors of a camera with fewer bits than its file
    data = write_tiff(stored(COLORS, "u2", 2**bits - 1), Layout(photometric=2))
    # Then they are as bright as they should be, in the levels that Pillow keeps
    assert np.abs(decoded(data) - COLORS).max() <= levels / 255 + LEVEL


@pytest.mark.parametrize("extra", [0, 1, 2], ids=["no meaning", "multiplied", "alpha"])
def test_grey_with_a_second_channel_is_right(extra: int) -> None:
    values = GREY * 0.5 if extra == 1 else GREY
    samples = stored(np.stack([values, ALPHA[..., 0]], axis=2), "u1", 255)
    expected = GREY if extra == 0 else GREY / 2 + 0.5
    assert grey_error(write_tiff(samples, Layout(tags={338: (extra,)})), expected) < 2 * LEVEL


@pytest.mark.parametrize("factor", [1, 257], ids=["8 bits", "16 bits"])
def test_a_palette_of_8_or_16_bits_is_right(factor: int) -> None:
    # Given a picture whose palette is a negative, in a program's own idea of the palette's range
    palette = [factor * (255 - level) for level in range(256)] * 3
    data = write_tiff(stored(GREY, "u1", 255), Layout(photometric=3, tags={320: tuple(palette)}))
    assert grey_error(data, 1 - GREY) < LEVEL


@pytest.mark.parametrize("deflated", [False, True], ids=["plain", "deflated"])
def test_ycbcr_with_less_color_than_brightness_is_right(deflated: bool) -> None:
    # Given blocks of four brightnesses and one color, which is none
    luma = stored(GREY[:36, :52], "u1", 255)
    blocks = luma.reshape(18, 2, 26, 2).transpose(0, 2, 1, 3).reshape(18, 26, 4)
    samples = np.concatenate([blocks, np.full((18, 26, 2), 128, np.uint8)], axis=2)
    tags = {256: (52,), 257: (36,), 258: (8, 8, 8), 277: (3,), 278: (36,), 339: (1, 1, 1), 530: (2, 2)}
    data = write_tiff(samples, Layout(photometric=6, deflated=deflated, tags=tags))
    assert np.abs(decode(data, 36, 52) - GREY[:36, :52, np.newaxis]).max() < 3 * LEVEL


def test_a_big_tiff_is_read() -> None:
    assert grey_error(write_tiff(stored(GREY, "u1", 255), Layout(big_tiff=True)), GREY) < LEVEL


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_in_a_tiff_is_right(mode: str) -> None:
    picture = Image.fromarray((COLORS * 255).astype(np.uint8)).convert(mode)
    found = decoded(encode(picture, "TIFF", compression="jpeg", quality=100))
    assert np.abs(found - np.asarray(picture.convert("RGB"), np.float32) / 255).max() < 0.06


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "lzma", "zstd", "tiff_deflate"])
@pytest.mark.parametrize("options", [{}, {"tiffinfo": {317: 2}}], ids=["plain", "differences"])
def test_every_compression_is_read(compression: str, options: dict[str, Any]) -> None:
    picture = Image.fromarray((COLORS * 255).astype(np.uint8))
    found = decoded(encode(picture, "TIFF", compression=compression, **options))
    assert np.array_equal(found, np.asarray(picture, np.float32) / 255)

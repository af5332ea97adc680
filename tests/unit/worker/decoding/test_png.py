"""PNG files that Pillow alone reads wrong: first frames of animations, transparency at every depth, missing rows."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from shared.errors import UndecodablePicture
from shared.images.inspect import set_up_pillow
from tests.support.pictures import encode, encode_animation, photograph, png_chunk
from worker.decoding.decode import decode_pixels

PICTURE = photograph("coffee.png").resize((90, 60))
REPLACEMENT = ImageOps.invert(PICTURE)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def pixels_of(image: Image.Image) -> bytes:
    """The compressed pixels of an image in 8 bits without filters."""
    values = np.asarray(image)
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))


def animation(
    frame: Image.Image = PICTURE,
    place: tuple[int, int] = (0, 0),
    count: int = 1,
    before: bytes = b"",
    cut: int | None = None,
    pieces: int = 3,
) -> bytes:
    """Return an APNG whose default image is REPLACEMENT, and whose only frame is `frame` at `place`."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *REPLACEMENT.size, 8, RGB, 0, 0, 0))
    control = struct.pack(">IIIIIHHBB", 0, *frame.size, *place, 1, 10, 0, 1)
    data = pixels_of(frame)[:cut]
    length = -(-len(data) // pieces)
    frames = b"".join(
        png_chunk(b"fdAT", struct.pack(">I", number + 1) + data[number * length : (number + 1) * length])
        for number in range(pieces)
    )
    return b"".join(
        (
            SIGNATURE,
            header,
            png_chunk(b"acTL", struct.pack(">II", count, 0)),
            before,
            png_chunk(b"IDAT", pixels_of(REPLACEMENT)),
            png_chunk(b"fcTL", control),
            frames,
            png_chunk(b"IEND", b""),
        )
    )


def as_plain(image: Image.Image) -> np.ndarray:
    return decode_pixels(encode(image, "PNG"), 40, 50)


def test_an_animation_is_its_first_frame_and_not_its_replacement() -> None:
    assert np.array_equal(decode_pixels(animation(), 40, 50), as_plain(PICTURE))


def test_so_is_one_that_pillow_writes() -> None:
    data = encode(REPLACEMENT, "PNG", save_all=True, default_image=True, append_images=[PICTURE, REPLACEMENT])
    assert np.array_equal(decode_pixels(data, 40, 50), as_plain(PICTURE))


def test_an_animation_that_begins_with_its_default_image_is_that_image() -> None:
    assert np.array_equal(decode_pixels(encode_animation(PICTURE, "PNG"), 40, 50), as_plain(PICTURE))


def test_a_smaller_first_frame_lies_in_its_place_on_white() -> None:
    # Given a frame that fills a part of the picture
    frame = PICTURE.crop((0, 0, 40, 30))
    expected = Image.new("RGB", PICTURE.size, "white")
    expected.paste(frame, (20, 10))
    # When it is decoded, Then the rest is white and not the replacement
    assert np.array_equal(decode_pixels(animation(frame, (20, 10)), 40, 50), as_plain(expected))


def test_the_transparency_of_an_animation_counts() -> None:
    # Given a frame whose right half has the color that is transparent
    frame = PICTURE.copy()
    frame.paste((1, 2, 3), (45, 0, 90, 60))
    data = animation(frame, before=png_chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    assert np.all(decode_pixels(data, 40, 50)[:, 30:] == 255)


@pytest.mark.parametrize(
    "data",
    [
        animation(count=0),
        animation(place=(1, 0)),
        animation().replace(b"acTL", b"abTL"),
        animation().replace(b"fdAT", b"fdaT"),
    ],
    ids=["no frames", "a frame beyond the picture", "no animation", "no pixels"],
)
def test_a_damaged_animation_is_its_replacement(data: bytes) -> None:
    whole = b"".join(_with_checksums(data))
    assert np.array_equal(decode_pixels(whole, 40, 50), as_plain(REPLACEMENT))


def test_a_first_frame_that_is_cut_off_is_refused() -> None:
    whole = animation()
    for data in (animation(cut=3000), whole[:-5000], whole[: whole.index(b"fcTL") - 10]):
        with pytest.raises(UndecodablePicture):
            decode_pixels(data, 40, 50)


def _with_checksums(data: bytes) -> list[bytes]:
    """The chunks of a PNG with their checksums computed again."""
    found, place = [data[:8]], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        found.append(png_chunk(data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png(depth: int, color: int, row: bytes, width: int, transparent: bytes) -> bytes:
    """Return a PNG of one row."""
    header = struct.pack(">IIBBBBB", width, 1, depth, color, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"tRNS", transparent),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(png_chunk(name, content) for name, content in chunks)


TRANSPARENT = {
    "16-bit grey": png(16, GREY, struct.pack(">3H", 0x1234, 0x1235, 0x5634), 3, b"\x12\x34"),
    "8-bit grey": png(8, GREY, b"\x12\x13\x14", 3, b"\0\x12"),
    "4-bit grey": png(4, GREY, b"\x34\x50", 3, b"\0\3"),
    "2-bit grey": png(2, GREY, b"\x48", 3, b"\0\1"),
    "16-bit RGB": png(16, RGB, struct.pack(">9H", 1, 2, 3, 1, 2, 4, 257, 2, 3), 3, struct.pack(">3H", 1, 2, 3)),
    "8-bit RGB": png(8, RGB, b"\1\2\3\1\2\4\1\3\3", 3, struct.pack(">3H", 1, 2, 3)),
}


@pytest.mark.parametrize("data", TRANSPARENT.values(), ids=TRANSPARENT.keys())
def test_the_transparent_color_is_white_and_no_other(data: bytes) -> None:
    # Given a row of which the first pixel has the transparent color, and others are near it
    # When it is decoded in its own size, Then the first is white and the others are not
    found = decode_pixels(data, 1, 3)[0]
    assert found[0].tolist() == [255] * 3
    assert found[1:].max() < 200


def png_of(width: int, height: int, depth: int, color: int, packed: bytes, interlaced: bool = False) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    palette = png_chunk(b"PLTE", bytes(range(48))) if color == PALETTE else b""
    middle = len(packed) // 2
    pieces = png_chunk(b"IDAT", packed[:middle]) + png_chunk(b"IDAT", packed[middle:])
    return SIGNATURE + header + palette + pieces + png_chunk(b"IEND", b"")


KINDS = [
    (1, GREY, 12), (2, GREY, 23), (8, GREY, 90), (16, GREY, 180), (8, RGB, 270), (16, RGB, 540), (4, PALETTE, 45),
    (8, GREY_ALPHA, 180), (8, RGBA, 360), (16, RGBA, 720),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "color", "row_bytes"), KINDS)
def test_missing_rows_are_noticed(depth: int, color: int, row_bytes: int) -> None:
    # Given a PNG of 60 rows whose compressed data are intact, but hold fewer rows
    row = b"\0" + b"\x01" * row_bytes
    for rows in (59, 30, 1):
        data = png_of(90, 60, depth, color, zlib.compress(row * rows))
        # When it is decoded, Then it is refused
        with pytest.raises(UndecodablePicture, match="rows of its pixels are missing"):
            decode_pixels(data, 40, 50)


@pytest.mark.parametrize(("depth", "color", "row_bytes"), KINDS)
def test_black_rows_are_not_missing(depth: int, color: int, row_bytes: int) -> None:
    # Given a PNG whose rows are all there, and black
    data = png_of(90, 60, depth, color, zlib.compress((b"\0" + bytes(row_bytes)) * 60))
    # Then it is a picture
    assert decode_pixels(data, 40, 50).shape == (40, 50, 3)


@pytest.mark.parametrize("size", [(90, 60), (1, 1), (3, 9), (5, 2), (8, 8)])
def test_missing_rows_of_interlaced_pictures_are_noticed(size: tuple[int, int]) -> None:
    # Given an interlaced PNG, written by hand because Pillow writes none
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    values = np.asarray(PICTURE.resize(size))
    parts = [values[top::down, left::right] for top, left, down, right in passes]
    rows = [b"\0" + row.tobytes() for part in parts if part.size for row in part]
    data = png_of(*size, 8, RGB, zlib.compress(b"".join(rows)), interlaced=True)
    # Then it is the picture, and without its last row it is refused
    assert np.array_equal(decode_pixels(data, 40, 50), decode_pixels(encode(PICTURE.resize(size), "PNG"), 40, 50))
    with pytest.raises(UndecodablePicture):
        decode_pixels(png_of(*size, 8, RGB, zlib.compress(b"".join(rows[:-1])), interlaced=True), 40, 50)

"""A JPEG that lacks only its end is whole; one that lacks pixels is refused."""

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.errors import UndecodablePicture
from shared.images.inspect import set_up_pillow
from tests.support.cpu_time import least_cpu_seconds
from tests.support.pictures import encode, photograph
from worker.decoding.decode import decode_pixels

PICTURE = photograph("coffee.png").resize((600, 400))
FLAT = Image.new("RGB", (600, 400), (240, 240, 240))
HALF_FLAT = PICTURE.copy()
HALF_FLAT.paste((250, 250, 250), (0, 150, 600, 400))
PICTURES = {"photograph": PICTURE, "flat": FLAT, "half flat": HALF_FLAT, "grey": PICTURE.convert("L")}
PICTURES |= {"CMYK": PICTURE.convert("CMYK"), "small": PICTURE.resize((60, 40)), "large": PICTURE.resize((1500, 1000))}
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimized": {"optimize": True},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 5},
}
FILES = {
    f"{name}, {kind}": encode(picture, "JPEG", **options)
    for name, picture in PICTURES.items()
    for kind, options in OPTIONS.items()
}
TEXT = b"\r\n<p>The connection was lost.</p>\n"


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return decode_pixels(data, 224, 224)


# The pixels of one file end with zeros, which could be in place of others.
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "flat, optimized"])
def test_a_jpeg_without_its_end_is_whole(kind: str) -> None:
    # Given a JPEG whose last two bytes are missing, or replaced
    data = FILES[kind]
    without = data[:-2]
    for end in (b"", b"\xff", b"\0\0", b"\x13\x57", bytes(3000), TEXT * 20):
        # Then it is the same picture
        assert np.array_equal(pixels(without + end), pixels(data)), end


def test_a_zero_in_place_of_the_last_pixels_is_kept() -> None:
    # Given JPEGs whose pixels end with a zero, as does a file whose missing end was filled with zeros
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4000, 96), np.uint8))
    every = (encode(noise.crop((0, top, 96, top + 48)), "JPEG", quality=60) for top in range(3952))
    files = [data for data in every if data[-3] == 0 and data[-4] not in (0, 0xFF)][:5]
    assert len(files) == 5
    # When their last two bytes are missing, Then they are the same pictures
    for data in files:
        assert np.array_equal(pixels(data[:-2]), pixels(data))
        assert np.array_equal(pixels(data[:-1]), pixels(data))


@pytest.mark.parametrize("restarts", [0, 4])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_zero_that_belongs_to_the_last_pixels_is_kept(progressive: bool, restarts: int) -> None:
    # Given a JPEG whose pixels end with 0xff, which encoders write as 0xff 0x00
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 96), np.uint8))
    options = {"quality": 100, "progressive": progressive, "restart_marker_blocks": restarts}
    files = (encode(noise.crop((0, top, 96, top + 48)), "JPEG", **options) for top in range(1952))
    data = next(data for data in files if data.endswith(b"\xff\0\xff\xd9"))
    # When its last two bytes are missing, or replaced by zeros, Then it is the same picture
    for end in (b"", b"\xff", b"\0\0", bytes(3000)):
        assert np.array_equal(pixels(data[:-2] + end), pixels(data)), end


@pytest.mark.parametrize("missing", [1, 2, 3, 5, 9, 20, 60, 2000])
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind.startswith(("photograph", "grey", "large"))])
def test_a_jpeg_without_its_last_pixels_is_refused(kind: str, missing: int) -> None:
    with pytest.raises(UndecodablePicture):
        pixels(FILES[kind][: -2 - missing])


@pytest.mark.parametrize("kind", FILES)
def test_what_is_missing_makes_no_difference(kind: str) -> None:
    data = FILES[kind]
    for missing in range(1, 20):
        try:
            found = pixels(data[: -2 - missing])
        except UndecodablePicture:
            continue
        # Given a JPEG whose last bytes say what the decoder assumes without them, which others would overrule
        assert np.array_equal(found, pixels(data))


@pytest.mark.parametrize("end", [bytes(5000), TEXT * 200], ids=["zeros", "text"])
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind.endswith("progressive")])
def test_what_follows_missing_pixels_is_not_taken_for_them(kind: str, end: bytes) -> None:
    data = FILES[kind]
    with pytest.raises(UndecodablePicture):
        pixels(data[: len(data) * 3 // 4] + end)


@pytest.mark.parametrize("kind", [kind for kind in FILES if "progressive" in kind])
def test_a_progressive_jpeg_needs_all_its_scans(kind: str) -> None:
    # Given a JPEG that ends where one of its scans does
    data = FILES[kind]
    starts = [place for place in range(len(data)) if data[place : place + 2] in (b"\xff\xda", b"\xff\xc4")]
    for place in starts[2:]:
        with pytest.raises(UndecodablePicture):
            pixels(data[:place])


def test_a_jpeg_of_one_scan_for_each_channel_needs_all_of_them() -> None:
    # Given the scans of a grey JPEG once for each channel of another
    grey = encode(PICTURE.convert("L"), "JPEG")
    frame = grey.index(b"\xff\xc0")
    channels = struct.pack(">BHHB", 8, 400, 600, 3) + b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    start = grey[:frame] + b"\xff\xc0" + struct.pack(">H", len(channels) + 2) + channels
    place = grey.index(b"\xff\xda")
    tables, scan = grey[frame + 13 : place], grey[place:-2]
    scans = [scan[:5] + bytes((number,)) + scan[6:] for number in (1, 2, 3)]
    whole = start + tables + b"".join(scans)
    # Then it needs no end, but all three
    assert np.array_equal(pixels(whole), pixels(whole + b"\xff\xd9"))
    with pytest.raises(UndecodablePicture):
        pixels(start + tables + b"".join(scans[:2]))


def test_scans_without_an_end_are_refused_at_once() -> None:
    # Given a JPEG of a million scans without pixels
    data = FILES["small, baseline"]
    place = data.index(b"\xff\xda")
    hostile = data[:place] + data[place : place + 14] * 1_000_000

    # When it is decoded
    def decode() -> None:
        with pytest.raises(UndecodablePicture):
            pixels(hostile)

    # Then looking for missing scans takes little time
    assert least_cpu_seconds(decode) < 1


def test_a_lossless_jpeg_is_read_at_any_size() -> None:
    # Given a lossless JPEG that is more than twice as large as what the model wants
    picture = PICTURE.convert("L").resize((1200, 900))
    assert np.array_equal(pixels(lossless_jpeg(np.asarray(picture))), pixels(encode(picture, "PNG")))


def lossless_jpeg(values: NDArray[np.uint8]) -> bytes:
    """Return a JPEG of differences to the pixel on the left, each a code of 5 bits for its length, and its bits."""
    height, width = values.shape
    wide = values.astype(int)
    before = np.concatenate([np.concatenate([[128], wide[:-1, 0]])[:, np.newaxis], wide[:, :-1]], axis=1)
    bits = "".join(_code(difference) for difference in (wide - before).ravel().tolist())
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes((0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)))
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"
    segments = ((0xC4, table), (0xC3, frame), (0xDA, b"\x01\x01\0\x01\0\0"))
    header = b"".join(b"\xff" + struct.pack(">BH", marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + header + scan + b"\xff\xd9"


def _code(difference: int) -> str:
    length = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << length) - 1
    return f"{length:05b}" + (f"{value:0{length}b}" if length else "")

"""A picture's header is read without its pixels, and hostile bytes are refused with one error."""

import hashlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import PictureTooLarge, UnsupportedPicture
from shared.images.formats import UNREADABLE
from shared.images.inspect import MAX_FRAMES, MAX_SIDE, inspect_picture, open_picture, set_up_pillow
from tests.hostile import bombs
from tests.support.pictures import KINDS, TRAFFIC_LIGHT_HEIC, encode, encode_animation, png_chunk

PICTURE = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
FILES = {kind: make(PICTURE) for kind, make in KINDS.items()} | {"HEIC": TRAFFIC_LIGHT_HEIC.read_bytes()}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_tells_format_and_size(kind: str) -> None:
    # Given a picture of 60 x 40 in one kind of file
    data = FILES[kind]
    # When it is inspected
    picture = inspect_picture(data)
    # Then its facts are known, the size as stored or upright
    assert picture.format == kind.partition(",")[0].upper()
    assert {picture.width, picture.height} == {60, 40}
    assert picture.bytes == len(data)
    assert picture.sha256 == hashlib.sha256(data).hexdigest()


def test_the_header_of_heic_tells_format_and_size() -> None:
    picture = inspect_picture(FILES["HEIC"])
    assert (picture.format, picture.width, picture.height) == ("HEIF", 320, 320)


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_heic_is_known_under_its_general_brands(brand: bytes) -> None:
    data = FILES["HEIC"]
    assert inspect_picture(data[:8] + brand + data[12:]).format == "HEIF"


def test_a_picture_of_many_is_called_jpeg() -> None:
    assert inspect_picture(encode_animation(PICTURE, "MPO")).format == "JPEG"


@pytest.mark.parametrize("kind", ["JPEG, RGB", "PNG, RGB", "BMP", "GIF", "TIFF, 16-bit"])
def test_pixels_are_not_decoded(kind: str) -> None:
    # Given a picture whose pixels are cut off
    data = FILES[kind][:-100]
    # When it is opened
    with open_picture(data) as image:
        # Then its header could be read
        assert image.size == (60, 40)


def test_a_picture_may_claim_more_pixels_than_pillow_likes() -> None:
    # Given a small file that says it is 60000 x 60000
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    data = PNG_SIGNATURE + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    # When it is inspected, Then its size is told, for the service's own limit to judge
    assert inspect_picture(data).width == 60000


NO_PICTURES = {
    "nothing": b"",
    "a text": b"This is no picture.",
    "HTML": b"<html><body>404</body></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
    "PDF": b"%PDF-1.7\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "a Pillow format that is not accepted": encode(PICTURE, "PPM"),
    "an icon": encode(PICTURE, "ICO"),
    "a JPEG of two bytes": b"\xff\xd8",
    "a JPEG signature and zeros": b"\xff\xd8\xff\xe0" + bytes(100),
    "a PNG signature and zeros": PNG_SIGNATURE + bytes(100),
    "a PNG with a short header": PNG_SIGNATURE + png_chunk(b"IHDR", b"\0\0"),
    "a PNG of no width": PNG_SIGNATURE + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0)),
    "a GIF signature": b"GIF89a",
    "a TIFF without directory": b"II*\0" + struct.pack("<I", 2**31),
    "a BMP header of nonsense": b"BM" + b"\xff" * 60,
    "a WebP of nonsense": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8 " + bytes(22),
    "an AVIF without boxes": struct.pack(">I", 16) + b"ftypavif" + bytes(4),
    "a HEIC without boxes": struct.pack(">I", 16) + b"ftypheic" + bytes(4),
}


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedPicture, match=f"^{re.escape(UNREADABLE)}$"):
        inspect_picture(data)


ENDLESS = {
    "a PNG of chunks": lambda: bombs.png_of_chunks(before=True),
    "a PNG of color profiles": lambda: bombs.png_with(b"iCCP", b"x\0\0" + zlib.compress(b"x" * 1_000_000), 900),
    "a GIF of comments": lambda: bombs.endless(bombs.GIF, b"!\xfe\x01x\0"),
    "a JPEG of segments": lambda: bombs.endless(b"\xff\xd8", b"\xff\xe5\0\x02"),
    "a JPEG of filling": lambda: bombs.endless(b"\xff\xd8", b"\xff"),
    "a JPEG of EXIF data": bombs.jpeg_with_long_exif,
    "a TIFF of a million tags": lambda: bombs.big_tiff_of_tags(900_000),
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_header_without_an_end_is_given_up(make: Callable[[], bytes]) -> None:
    # All of it is Python, and would hold up every other request for seconds.
    with pytest.raises(UnsupportedPicture, match="too long to be read"):
        inspect_picture(make())


def test_exif_data_without_an_end_are_not_looked_at() -> None:
    # Given a picture with two million fractions where its orientation should be
    data = bombs.avif_with_long_exif()
    # Then its size is read, and none of its EXIF data (which would take seconds)
    assert inspect_picture(data).width == 32
    with open_picture(data) as image:
        assert len(image.getexif()) == 0


def test_the_strips_of_a_tiff_may_not_be_millions() -> None:
    # Given a TIFF with five million strips, each of which would become an object
    data = bombs.tiff_of_tags(bombs.picture_tags(strips=(4, bombs.FULL // 4)))
    with pytest.raises(UnsupportedPicture):
        inspect_picture(data)


def test_a_tiff_may_have_a_strip_for_each_row_and_large_tags_behind_what_counts() -> None:
    # Given a TIFF with a strip a row, and two megabytes of layers
    picture = Image.new("L", (2, MAX_SIDE))
    data = encode(picture, "TIFF", tiffinfo={278: 1, 37724: bytes(2**21)})
    # Then its size is told
    assert inspect_picture(data).height == MAX_SIDE


@pytest.mark.parametrize(("side", "fits"), [(MAX_SIDE, True), (MAX_SIDE + 1, False)])
def test_no_side_may_be_longer_than_the_limit(side: int, fits: bool) -> None:
    data = bombs.flat_png(side, 1)
    if fits:
        assert inspect_picture(data).width == side
    else:
        with pytest.raises(PictureTooLarge, match="no side may have more than 65535"):
            inspect_picture(data)


@pytest.mark.parametrize(("frames", "fits"), [(MAX_FRAMES, True), (MAX_FRAMES + 1, False)])
def test_no_animation_may_have_more_frames_than_the_limit(frames: int, fits: bool) -> None:
    data = bombs.animated_webp(32, 32, frames)
    if fits:
        assert inspect_picture(data).width == 32
    else:
        with pytest.raises(PictureTooLarge, match="at most 5000"):
            inspect_picture(data)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_header_is_refused_or_still_tells_a_size(kind: str, changes: list[tuple[int, int]]) -> None:
    # Given a file with a few wrong bytes at its beginning
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[place % len(data)] = value
    # When it is inspected
    try:
        picture = inspect_picture(bytes(data))
    except (UnsupportedPicture, PictureTooLarge):
        return
    # Then, if it was not refused, there is something to decode
    assert picture.width > 0
    assert picture.height > 0


def test_oddities_of_a_picture_are_no_warnings() -> None:
    # Given a JPEG whose list of further pictures is damaged, at which Pillow warns
    data = encode_animation(PICTURE, "MPO").replace(b"MPF\0II", b"MPF\0XX").replace(b"MPF\0MM", b"MPF\0XX")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).close()
        assert caught
        # When the process is set up and the picture is inspected
        caught.clear()
        set_up_pillow()
        picture = inspect_picture(data)
    # Then it is a JPEG, and nothing is said
    assert picture.format == "JPEG"
    assert not caught

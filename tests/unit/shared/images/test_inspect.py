"""A picture's header is read without its pixels, and hostile bytes are refused with one error."""

import hashlib
import io
import re
import struct
import warnings
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
    # When it is inspected, Then its size is found, to be compared with the service's own limit
    assert inspect_picture(data).width == 60000


NO_PICTURES = {"nothing": b"", "a text": b"This is no picture.", "zeros": bytes(100), "a carriage return": b"\r"}


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedPicture, match=f"^{re.escape(UNREADABLE)}$"):
        inspect_picture(data)


DAMAGED = {
    "JPEG of no height": FILES["JPEG, RGB"].replace(struct.pack(">HH", 40, 60), struct.pack(">HH", 0, 60), 1),
    "PNG of a signature and zeros": PNG_SIGNATURE + bytes(100),
    "PNG with a short header": PNG_SIGNATURE + png_chunk(b"IHDR", b"\0\0") + png_chunk(b"IDAT", b""),
    "PNG of no width": PNG_SIGNATURE
    + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0))
    + png_chunk(b"IDAT", b""),
    "BMP of no width": b"BM"
    + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 0, 8, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes(99),
    "WebP of nonsense": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8 " + bytes(22),
    "AVIF without boxes": struct.pack(">I", 16) + b"ftypavif" + bytes(4),
    "HEIC without boxes": struct.pack(">I", 16) + b"ftypheic" + bytes(4),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_header_is_refused_by_the_name_of_its_format(kind: str) -> None:
    expected = f"^The header of the {kind.partition(' ')[0]} is damaged. Send another file.$"
    with pytest.raises(UnsupportedPicture, match=expected):
        inspect_picture(DAMAGED[kind])


CUT_OFF = {
    "JPEG of a signature and zeros": b"\xff\xd8\xff\xe0" + bytes(100),
    "BMP with an endless header": b"BM" + b"\xff" * 60,
    "JPEG of two bytes": b"\xff\xd8",
    "GIF signature": b"GIF89a",
    "TIFF without directory": b"II*\0" + struct.pack("<I", 2**31),
    "TIFF of 64 bits without directory": b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**31),
    # Programs write the directory last, except for pixels that are not compressed.
    **{
        f"TIFF of {compression} without its last 100 bytes": encode(PICTURE, "TIFF", compression=compression)[:-100]
        for compression in ("tiff_lzw", "tiff_deflate", "packbits")
    },
    **{
        f"{name} of {share} of its bytes": FILES[name][: int(share * len(FILES[name]))]
        for name, share in (("WebP", 0.3), ("WebP", 0.9), ("AVIF", 0.2), ("AVIF", 0.6))
    },
    **{f"{kind.partition(',')[0]} of 30 bytes": FILES[kind][:30] for kind in ("JPEG, RGB", "PNG, RGB", "BMP", "TIFF")},
}


@pytest.mark.parametrize("kind", CUT_OFF)
def test_a_header_that_is_cut_off_is_refused_by_the_name_of_its_format(kind: str) -> None:
    expected = f"^The {kind.partition(' ')[0]} is cut off. Send the complete file.$"
    with pytest.raises(UnsupportedPicture, match=expected):
        inspect_picture(CUT_OFF[kind])


ENDLESS = {
    "a PNG of chunks": lambda: bombs.png_of_chunks(before=True),
    "a GIF of comments": lambda: bombs.endless(bombs.GIF, b"!\xfe\x01x\0"),
    "a JPEG of segments": lambda: bombs.endless(b"\xff\xd8", b"\xff\xe5\0\x02"),
    "a JPEG of filling": lambda: bombs.endless(b"\xff\xd8", b"\xff"),
    "a JPEG of EXIF data": bombs.jpeg_with_long_exif,
    "a TIFF of a million tags": lambda: bombs.big_tiff_of_tags(900_000),
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_endless_header_is_refused(make: Callable[[], bytes]) -> None:
    # All of it is Python, and would hold up every other request for seconds.
    with pytest.raises(UnsupportedPicture, match="too long to be read"):
        inspect_picture(make())


def test_exif_data_without_an_end_are_not_looked_at() -> None:
    # Given a picture with two million fractions where its orientation should be
    data = bombs.avif_with_long_exif()
    # Then its size is read but not its EXIF data, which would take seconds
    assert inspect_picture(data).width == 32
    with open_picture(data) as image:
        assert len(image.getexif()) == 0


def test_the_strips_of_a_tiff_may_not_be_millions() -> None:
    # Given a TIFF with five million strips, each of which would become an object
    data = bombs.tiff_of_tags(bombs.picture_tags(strips=(4, bombs.FULL // 4)))
    with pytest.raises(UnsupportedPicture):
        inspect_picture(data)


def test_a_tiff_may_have_a_strip_for_each_row_and_large_tags_after_the_required_ones() -> None:
    # Given a TIFF with a strip a row, and two megabytes of layers
    picture = Image.new("L", (2, MAX_SIDE))
    data = encode(picture, "TIFF", tiffinfo={278: 1, 37724: bytes(2**21)})
    # Then its size is found
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

"""Bytes become an upright RGB array; what cannot be decoded says so."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from shared.images.inspect import inspect_picture, set_up_pillow
from tests.support.pictures import (
    KINDS,
    TRAFFIC_LIGHT,
    TRAFFIC_LIGHT_HEIC,
    encode,
    encode_animation,
    encode_turned,
    encode_ycck,
    enlarged,
    photograph,
    png_chunk,
    sixteen_bits,
)
from worker.decoding.decode import decode

# Half a level of rounding either way; a level is 1/255.
LEVEL = 1 / 255
# Not square, and without symmetry.
PICTURE = photograph("coffee.png").resize((90, 60))


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def as_the_original(data: bytes, height: int, width: int) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def largest_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """In levels of 0 to 255."""
    return float(np.abs(one - other).max() * 255)


def grey_of(data: bytes) -> float:
    """The value of a picture of one colour, which must be grey."""
    values = decode(data, 8, 8)
    assert np.ptp(values) <= LEVEL
    return float(values.mean())


def test_an_array_has_the_wanted_shape_type_and_range() -> None:
    array = decode(encode(PICTURE, "PNG"), 20, 30)
    assert array.shape == (20, 30, 3)
    assert array.dtype == np.float32
    assert 0 <= array.min() < array.max() <= 1


@pytest.mark.parametrize("name", ["coffee.png", "camera.png"])
@pytest.mark.parametrize("kind", ["JPEG, RGB", "JPEG, grey", "JPEG, progressive", "PNG, RGB", "PNG, palette", "BMP"])
def test_a_small_picture_differs_from_the_original_by_two_levels_at_most(kind: str, name: str) -> None:
    # Given a picture that no shortcut applies to
    data = KINDS[kind](photograph(name))
    # When it is decoded, Then every value is nearly the original's
    assert largest_difference(decode(data, 224, 224), as_the_original(data, 224, 224)) <= 2


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    ("format_name", "options", "levels"), [("JPEG", {"quality": 90}, 8), ("TIFF", {}, 3)], ids=["JPEG", "TIFF"]
)
def test_the_shortcuts_for_large_pictures_stay_near_the_original(
    mode: str, format_name: str, options: dict[str, Any], levels: float
) -> None:
    data = encode(enlarged(photograph("rocket.jpg"), 2400, 1800).convert(mode), format_name, **options)
    assert largest_difference(decode(data, 224, 224), as_the_original(data, 224, 224)) <= levels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format_name", "options", "levels"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}, 3),
        ("PNG", {}, 1),
        ("TIFF", {}, 1),
        ("TIFF", {"compression": "tiff_lzw"}, 1),
        ("WEBP", {"lossless": True}, 1),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}, 3),
    ],
    ids=["JPEG", "PNG", "TIFF", "TIFF-LZW", "WebP", "AVIF"],
)
def test_every_exif_orientation_gives_the_upright_picture(
    orientation: int, format_name: str, options: dict[str, Any], levels: float
) -> None:
    # Given a picture stored turned, with an orientation that says so
    data = encode_turned(PICTURE, orientation, format_name, **options)
    # When it is decoded to a size that is not square
    found = decode(data, 32, 48)
    # Then it is what the upright one is; the filter rounds between rows and columns, which is a level at most
    assert largest_difference(found, decode(encode(PICTURE, "PNG"), 32, 48)) <= levels + 0.001


def test_a_large_turned_jpeg_is_upright_too() -> None:
    large = enlarged(photograph("coffee.png"), 2400, 1600)
    found = decode(encode_turned(large, 6, "JPEG", quality=95), 200, 300)
    assert largest_difference(found, as_the_original(encode(large, "PNG", compress_level=1), 200, 300)) <= 12


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + b"\xff" * 40,
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\xff\xff\xff\x7f\0\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
    ],
    ids=["nonsense", "cut off", "a text that is not there", "orientation 99"],
)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_a_picture_with_damaged_exif_is_taken_as_upright(format_name: str, exif: bytes) -> None:
    options = {"lossless": True} if format_name == "WEBP" else {}
    plain = decode(encode(PICTURE, format_name, **options), 32, 48)
    assert np.array_equal(decode(encode(PICTURE, format_name, exif=exif, **options), 32, 48), plain)


STALE = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'


def png_with_stale_xmp(image: Image.Image, after_pixels: bool) -> bytes:
    """Return a PNG with an orientation in XMP, before or after its pixels."""
    chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + STALE)
    data = encode(image, "PNG")
    place = len(data) - 12 if after_pixels else 33
    return data[:place] + chunk + data[place:]


WITH_STALE_XMP = {
    "JPEG": lambda image: encode(image, "JPEG", quality=100, subsampling=0, xmp=STALE),
    "PNG": lambda image: png_with_stale_xmp(image, after_pixels=False),
    "PNG, after its pixels": lambda image: png_with_stale_xmp(image, after_pixels=True),
    "WebP": lambda image: encode(image, "WEBP", lossless=True, xmp=STALE),
    "TIFF": lambda image: encode(image, "TIFF", tiffinfo={700: STALE}),
    "TIFF, LZW": lambda image: encode(image, "TIFF", compression="tiff_lzw", tiffinfo={700: STALE}),
    "AVIF": lambda image: encode(image, "AVIF", quality=100, subsampling="4:4:4", speed=10, xmp=STALE),
}


@pytest.mark.parametrize("kind", WITH_STALE_XMP)
def test_an_orientation_in_xmp_does_not_count(kind: str) -> None:
    # Given an upright picture whose XMP says that it is turned, as after an edit, and that has no EXIF data
    data = WITH_STALE_XMP[kind](PICTURE)
    # When it is decoded, Then it is upright, as in browsers
    assert largest_difference(decode(data, 32, 48), decode(encode(PICTURE, "PNG"), 32, 48)) <= 3.001


def test_the_orientation_in_exif_counts_for_avif_only_if_the_container_has_it() -> None:
    # Given an upright AVIF into which a tool has written an orientation
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0"
    upright = encode(PICTURE, "AVIF", speed=10, exif=b"Exif\0\0" + exif.replace(b"\x12\x01", b"\x13\x01") % 1)
    turned = upright.replace(exif.replace(b"\x12\x01", b"\x13\x01") % 1, exif % 6)
    assert turned != upright
    # When it is decoded, Then it is as before
    assert np.array_equal(decode(turned, 32, 48), decode(upright, 32, 48))


CLEAR_BLACK = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
CLEAR_PALETTE = Image.new("P", (16, 16), 1)
CLEAR_PALETTE.putpalette([255, 0, 0, 0, 0, 0])

TRANSPARENT = {
    "PNG, RGBA": encode(CLEAR_BLACK, "PNG"),
    "PNG, grey with alpha": encode(CLEAR_BLACK.convert("LA"), "PNG"),
    "PNG, transparent colour": encode(Image.new("RGB", (16, 16)), "PNG", transparency=(0, 0, 0)),
    "PNG, transparent grey": encode(Image.new("L", (16, 16)), "PNG", transparency=0),
    "PNG, transparent bit": encode(Image.new("1", (16, 16)), "PNG", transparency=0),
    "PNG, one transparent palette entry": encode(CLEAR_PALETTE, "PNG", transparency=1),
    "PNG, an alpha for each palette entry": encode(CLEAR_PALETTE, "PNG", transparency=b"\xff\x00"),
    "GIF": encode(CLEAR_PALETTE, "GIF", transparency=1),
    "WebP": encode(CLEAR_BLACK, "WEBP", lossless=True, exact=True),
    "TIFF": encode(CLEAR_BLACK, "TIFF"),
    "TIFF, grey with alpha": encode(CLEAR_BLACK.convert("LA"), "TIFF"),
    "AVIF": encode(CLEAR_BLACK, "AVIF", speed=10),
}


@pytest.mark.parametrize("data", TRANSPARENT.values(), ids=TRANSPARENT.keys())
def test_what_is_transparent_is_white(data: bytes) -> None:
    assert grey_of(data) == pytest.approx(1, abs=LEVEL)


def test_what_is_half_transparent_is_half_white() -> None:
    assert grey_of(encode(Image.new("RGBA", (16, 16), (0, 0, 0, 128)), "PNG")) == pytest.approx(127 / 255, abs=LEVEL)


DEEP_GREYS: dict[str, Callable[[int], bytes]] = {
    "PNG, 16-bit": lambda value: encode(sixteen_bits(Image.new("L", (16, 16), value)), "PNG"),
    "TIFF, 16-bit": lambda value: encode(sixteen_bits(Image.new("L", (16, 16), value)), "TIFF"),
    "TIFF, 16-bit, big-endian": lambda value: encode(sixteen_bits(Image.new("L", (16, 16), value), ">"), "TIFF"),
}


@pytest.mark.parametrize("value", [0, 128, 254, 255])
@pytest.mark.parametrize("kind", DEEP_GREYS)
def test_16_bit_greys_are_scaled(kind: str, value: int) -> None:
    assert grey_of(DEEP_GREYS[kind](value)) == pytest.approx(value / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 0.5, 1]),
        (np.array([0.0, 51.0, 255.0], np.float32), [0, 0.2, 1]),
        (np.array([0.0, 2e6, 4e6], np.float32), [0, 0.5, 1]),
        (np.array([np.nan, -np.inf, 1.0], np.float32), [0, 0, 1]),
        (np.array([0, 51, 255], np.int32), [0, 0.2, 1]),
        (np.array([-5, 13107, 65535], np.int32), [0, 0.2, 1]),
        (np.array([0, 10**9, 2 * 10**9], np.int32), [0, 0.5, 1]),
        (np.array([0, 0, 0], np.int32), [0, 0, 0]),
    ],
    ids=["0 to 1", "0 to 255", "brighter", "no numbers", "bytes", "16 bits", "31 bits", "black"],
)
def test_32_bit_greys_are_scaled_by_what_they_hold(values: NDArray[Any], expected: list[float]) -> None:
    # Given a TIFF with one value a column
    data = encode(Image.fromarray(values[np.newaxis]), "TIFF")
    # When it is decoded at its own size
    found = decode(data, 1, 3)
    # Then its largest usual value is white
    assert found[0, :, 0] == pytest.approx(expected, abs=LEVEL)


@pytest.mark.parametrize("encode_inks", [KINDS["JPEG, CMYK"], encode_ycck], ids=["plain", "as Photoshop does"])
def test_cmyk_is_not_a_negative(encode_inks: Callable[[Image.Image], bytes]) -> None:
    found = decode(encode_inks(Image.new("RGB", (16, 16), (200, 100, 50))), 8, 8)
    assert found[4, 4] * 255 == pytest.approx([200, 100, 50], abs=6)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3)])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_a_picture_may_be_thin(format_name: str, size: tuple[int, int]) -> None:
    assert grey_of(encode(Image.new("RGB", size, "white"), format_name)) == 1


@pytest.mark.parametrize(
    ("format_name", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("MPO", {"quality": 95}), ("TIFF", {})],
)
def test_an_animation_is_its_first_frame(format_name: str, options: dict[str, Any]) -> None:
    # Given a light frame, followed by its dark negative
    data = encode_animation(Image.new("RGB", (16, 16), (220, 220, 220)), format_name, **options)
    # When it is decoded, Then it is light
    assert grey_of(data) == pytest.approx(220 / 255, abs=LEVEL)


def test_heic_is_what_the_drawing_is() -> None:
    found = decode(TRAFFIC_LIGHT_HEIC.read_bytes(), 224, 224)
    expected = as_the_original(TRAFFIC_LIGHT.read_bytes(), 224, 224)
    assert float(np.abs(found - expected).mean() * 255) < 3


SIZED = {"BMP", "PNG, RGB", "JPEG, RGB", "JPEG, progressive", "GIF", "WebP", "TIFF", "TIFF, LZW", "AVIF"}


@pytest.mark.parametrize("kind", sorted(SIZED))
def test_a_picture_that_is_cut_off_says_so(kind: str) -> None:
    # Given a file whose second half is missing
    data = KINDS[kind](PICTURE)
    # When it is decoded, Then the error is a sentence on one line
    with pytest.raises((UndecodablePicture, UnsupportedPicture), match=r"^[A-Z][^\n]*[^. ]\.") as caught:
        decode(data[: len(data) // 2], 224, 224)
    # And where the header was complete, the sentence is about the pixels
    if kind.startswith(("JPEG", "PNG", "BMP", "GIF")):
        assert str(caught.value).startswith("The picture cannot be decoded: ")


def test_a_cut_off_heic_says_so_on_one_line() -> None:
    with pytest.raises(UndecodablePicture, match=r"^The picture cannot be decoded: [^\n]*[^. \n]\.$"):
        decode(TRAFFIC_LIGHT_HEIC.read_bytes()[:-1000], 224, 224)


class Interrupted(Image.Image):
    """A picture during whose decoding something happens that is not its fault."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def load(self) -> Any:
        raise self._error


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded(), MemoryError()], ids=["time limit", "memory"])
def test_what_is_not_the_pictures_fault_passes_through(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.decoding.decode.open_picture", lambda *_, **__: Interrupted(error))
    with pytest.raises(type(error)):
        decode(b"", 8, 8)


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded(), MemoryError()], ids=["time limit", "memory"])
def test_what_comes_while_the_header_is_read_passes_through_too(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Image.Image:
        raise error

    monkeypatch.setattr("PIL.Image.open", fail)
    with pytest.raises(type(error)):
        decode(b"", 8, 8)


def test_a_time_limit_after_much_decoding_is_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a time limit that comes when decoding has had more CPU time than is needed to tell
    monkeypatch.setattr("worker.decoding.decode.OWN_SECONDS", 0)
    monkeypatch.setattr("worker.decoding.decode.open_picture", lambda *_, **__: Interrupted(SoftTimeLimitExceeded()))
    # Then the picture is called expensive
    with pytest.raises(PictureTooExpensive):
        decode(b"", 8, 8)


@pytest.mark.parametrize("error", [KeyError("0x1"), IndexError("list index out of range"), OSError()])
def test_an_error_inside_a_reader_gets_a_plain_message(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.decoding.decode.open_picture", lambda *_, **__: Interrupted(error))
    with pytest.raises(UndecodablePicture, match=r"^The picture cannot be decoded: its data are damaged or cut off\.$"):
        decode(b"", 8, 8)


FILES = {kind: make(PICTURE) for kind, make in KINDS.items()} | {"HEIC": TRAFFIC_LIGHT_HEIC.read_bytes()}


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(
    "kind", [kind for kind in FILES if kind.split(", ")[-1] not in ("animated", "several pictures")]
)
def test_a_file_that_is_cut_off_is_told_so(kind: str, share: float) -> None:
    data = FILES[kind][: int(share * len(FILES[kind]))]
    with pytest.raises((UnsupportedPicture, UndecodablePicture), match=r"cut off|missing; send the complete file"):
        check_and_decode(data)


def check_and_decode(data: bytes) -> None:
    """Do what API and worker do with a file, one after the other."""
    inspect_picture(data)
    decode(data, 8, 8)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_are_an_array_or_an_error_of_the_pictures_own(
    kind: str, changes: list[tuple[float, int]]
) -> None:
    # Given a file with a few wrong bytes, most of them near its beginning
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[int(place**3 * len(data))] = value
    # When it is decoded
    try:
        array = decode(bytes(data), 8, 8)
    except (UndecodablePicture, UnsupportedPicture, MemoryError):
        # A header that claims more pixels than there is memory for; the API refuses these by MAX_IMAGE_PIXELS.
        return
    # Then, if it was not refused, there is a whole picture
    assert array.shape == (8, 8, 3)
    assert array.min() >= 0
    assert array.max() <= 1

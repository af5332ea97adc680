"""A PNG is read whatever stands beside its pixels; damage to the pixels or to what they need is not ignored."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from api.header_check import QUICK_BYTES
from shared.errors import UndecodablePicture, UnsupportedPicture
from shared.images.inspect import inspect_picture, set_up_pillow
from shared.images.png import header_of_png, without_extras
from tests.hostile import bombs
from tests.support.pictures import KINDS, encode, encode_animation, encode_turned, photograph, png_chunk
from tests.support.wait import in_time
from worker.decoding.decode import decode

PICTURE = photograph("coffee.png").resize((60, 40))
PLAIN = encode(PICTURE, "PNG")
# The signature and IHDR.
HEADER_BYTES = 8 + 25
MEBIBYTE = 1024 * 1024
MUCH = zlib.compress(bytes(3 * MEBIBYTE))


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def with_chunks(*chunks: bytes, data: bytes = PLAIN) -> bytes:
    return data[:HEADER_BYTES] + b"".join(chunks) + data[HEADER_BYTES:]


def with_wrong_checksum(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes((chunk[-1] ^ 1,))


BESIDE = {
    "a long compressed text": png_chunk(b"zTXt", b"k\0\0" + MUCH),
    "a long international text": png_chunk(b"iTXt", b"k\0\x01\0\0\0" + MUCH),
    "much text": png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MEBIBYTE))) * 70,
    "a text of an unknown compression": png_chunk(b"zTXt", b"k\0\x07text"),
    "an international text of an unknown compression": png_chunk(b"iTXt", b"k\0\x01\x09\0\0text"),
    "a text that is not compressed": png_chunk(b"zTXt", b"k\0\0text"),
    "an empty text": png_chunk(b"tEXt", b""),
    "a long profile": png_chunk(b"iCCP", b"p\0\0" + MUCH),
    "a profile of an unknown compression": png_chunk(b"iCCP", b"p\0\x01" + zlib.compress(b"profile")),
    "a profile that is not compressed": png_chunk(b"iCCP", b"p\0\0profile"),
    "a profile without a name": png_chunk(b"iCCP", b"p"),
    "an empty profile": png_chunk(b"iCCP", b""),
    "two profiles": png_chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile")) * 2,
    "900 profiles": png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(MEBIBYTE))) * 900,
    "900 long profiles": png_chunk(b"iCCP", b"p\0\0" + MUCH) * 900,
    "an unknown chunk": png_chunk(b"teST", b"?"),
    **{f"an empty {name}": png_chunk(name.encode(), b"") for name in ("gAMA", "cHRM", "sRGB", "pHYs", "tIME", "eXIf")},
    **{f"a short {name}": png_chunk(name.encode(), b"\0\0\0") for name in ("gAMA", "cHRM", "pHYs", "tRNS", "acTL")},
    **{
        f"a wrong checksum of {name}": with_wrong_checksum(png_chunk(name.encode(), content))
        for name, content in {
            **{"tEXt": b"k\0text", "gAMA": b"\0\0\0\1", "pHYs": bytes(9), "tIME": bytes(7), "bKGD": bytes(6)},
            **{"teST": b"?", "tRNS": bytes(6), "eXIf": b"MM\0*\0\0\0\x08\0\0", "acTL": b"\0\0\0\1\0\0\0\0"},
        }.items()
    },
    "two gAMA": png_chunk(b"gAMA", struct.pack(">I", 45_455)) * 2,
    "two animations": png_chunk(b"acTL", struct.pack(">II", 1, 0)) * 2,
    "a frame without an animation": png_chunk(b"fcTL", bytes(26)),
    "a frame of an animation elsewhere": png_chunk(b"acTL", struct.pack(">II", 1, 0))
    + png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9, 9, 100, 100, 1, 1, 0, 0)),
    "an animation of no frames": png_chunk(b"acTL", bytes(8)),
    "a misplaced piece of an animation": png_chunk(b"fdAT", bytes(9)),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_chunks_before_the_pixels_do_no_harm(beside: str) -> None:
    # Given a good PNG with something odd before its pixels
    data = with_chunks(BESIDE[beside])
    # When it is inspected, without holding up the API's loop, and decoded
    picture = in_time(lambda: inspect_picture(data), 0.3)
    found = decode(data, 40, 60)
    # Then it is the same as without
    assert (picture.width, picture.height) == PICTURE.size
    assert np.array_equal(found, decode(PLAIN, 40, 60))


@pytest.mark.parametrize("beside", [each for each in BESIDE if "900" not in each])
def test_chunks_after_the_pixels_do_no_harm(beside: str) -> None:
    end = PLAIN.index(b"IEND") - 4
    data = PLAIN[:end] + BESIDE[beside] + PLAIN[end:]
    assert np.array_equal(decode(data, 40, 60), decode(PLAIN, 40, 60))


def test_a_transparent_color_after_the_pixels_does_not_count() -> None:
    data = encode(Image.new("L", (9, 9), 100), "PNG")
    end = data.index(b"IEND") - 4
    misplaced = data[:end] + png_chunk(b"tRNS", b"\0\x64") + data[end:]
    assert np.array_equal(decode(misplaced, 9, 9), decode(data, 9, 9))


def test_a_picture_is_turned_by_exif_data_after_its_pixels() -> None:
    # Given a turned PNG whose EXIF data are moved after the pixels
    data = encode_turned(PICTURE, 6, "PNG")
    start = data.index(b"eXIf") - 4
    length = int.from_bytes(data[start : start + 4], "big") + 12
    exif, rest = data[start : start + length], data[:start] + data[start + length :]
    moved = rest[: rest.index(b"IEND") - 4] + exif + rest[rest.index(b"IEND") - 4 :]
    # Then it is upright, with or without texts around
    expected = decode(PLAIN, 40, 60)
    assert np.abs(decode(moved, 40, 60) - expected).max() < 0.01
    assert np.abs(decode(with_chunks(BESIDE["much text"], data=moved), 40, 60) - expected).max() < 0.01


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("PNG")])
def test_what_the_pixels_need_is_kept(kind: str) -> None:
    # Given a PNG of each kind, with transparency, a palette or frames, and the same with a text
    data = KINDS[kind](PICTURE)
    texts = with_chunks(png_chunk(b"tEXt", b"k\0text"), data=data)
    # Then the text is left out, and nothing else
    assert without_extras(texts) == without_extras(data)
    assert np.array_equal(decode(texts, 40, 60), decode(data, 40, 60))


def test_a_png_without_extras_is_not_copied() -> None:
    assert without_extras(PLAIN) is PLAIN


def test_the_first_frame_of_an_animation_is_kept_as_it_is() -> None:
    data = encode_animation(PICTURE, "PNG")
    assert without_extras(data) is data
    assert header_of_png(data).count(b"fcTL") == 1


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_wrong_checksum_of_what_the_pixels_need_is_refused(name: bytes) -> None:
    data = bytearray(encode(PICTURE.quantize(16), "PNG"))
    place = data.index(name)
    length = int.from_bytes(data[place - 4 : place], "big")
    data[place + 4 + length] ^= 1
    with pytest.raises(UnsupportedPicture, match=r"^The header of the PNG is damaged\."):
        inspect_picture(bytes(data))


@pytest.mark.parametrize("length", [*range(8, HEADER_BYTES + 8)])
def test_a_png_that_is_cut_off_in_its_header_says_so(length: int) -> None:
    with pytest.raises(UnsupportedPicture, match=r"^The PNG is cut off\. Send the complete file\.$"):
        inspect_picture(PLAIN[:length])


def test_a_png_that_is_cut_off_in_its_pixels_says_so() -> None:
    with pytest.raises(UndecodablePicture, match="its data are cut off; send the complete file"):
        decode(with_chunks(BESIDE["much text"])[:-100], 40, 60)


def test_a_palette_must_be_there() -> None:
    data = encode(PICTURE.quantize(16), "PNG").replace(b"PLTE", b"plTE")
    with pytest.raises(UnsupportedPicture, match=r"^The PNG has no palette"):
        inspect_picture(data)


SLOW: dict[str, Callable[[], bytes]] = {
    "texts": lambda: bombs.png_with(b"zTXt", b"k\0\0" + bombs.inflating(1), 200),
    "profiles": lambda: bombs.png_with(b"iCCP", b"k\0\0" + bombs.inflating(1), 200),
    "animations": lambda: bombs.png_with(b"acTL", bytes(8), 4900),
}


@pytest.mark.parametrize("kind", SLOW)
def test_the_header_of_a_png_does_not_hold_up_the_loop(kind: str) -> None:
    # Given a PNG that the API inspects in its loop
    data = SLOW[kind]()
    assert len(data) <= QUICK_BYTES
    # Then that is soon done (it takes 25 ms; decompressing 900 profiles takes 2.6 s)
    in_time(lambda: inspect_picture(data), 0.3)

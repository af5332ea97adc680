"""A picture in other colors than sRGB becomes the array of the same picture in sRGB; odd statements are ignored."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.images.inspect import set_up_pillow
from tests.support.colors import (
    BT2020,
    COLORED,
    HLG,
    LINEAR,
    PQ,
    SRGB_CURVE,
    as_hlg,
    as_power,
    as_pq,
    code_point_chunk,
    gamma_chunk,
    png_with,
)
from tests.support.cpu_time import least_cpu_seconds
from tests.support.heif import coded_hevc, color_box, heif_file
from tests.support.icc import DISPLAY_P3, PROPHOTO, SRGB, grey_profile, icc_profile, lut_tag, rgb_profile
from tests.support.pictures import encode, photograph, png_chunk, with_transparent_corners
from worker.decoding.decode import decode_pixels

PICTURE = photograph("coffee.png").resize((300, 200))
# ITU-T H.273: curves of television, near that of sRGB.
BT709_CURVE, UNSPECIFIED = 1, 2


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def pixels(data: bytes) -> NDArray[np.int16]:
    return decode_pixels(data, 120, 180).astype(np.int16)


def mean_difference(one: bytes, other: bytes) -> float:
    """In levels of 0 to 255."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


def with_profile(profile: bytes) -> bytes:
    return encode(PICTURE, "JPEG", quality=95, icc_profile=profile)


PLAIN = encode(PICTURE, "PNG")
PLAIN_JPEG = encode(PICTURE, "JPEG", quality=95)


@pytest.mark.parametrize("kind", COLORED)
def test_a_picture_in_other_colors_is_the_picture_in_srgb(kind: str) -> None:
    # Given a photograph in other colors, and a file that says so
    data = COLORED[kind](PICTURE)
    # When it is decoded, Then it is the photograph; if the colors were ignored, it would differ by 8 levels or more
    assert mean_difference(data, PLAIN) < 5


@pytest.mark.parametrize("transfer", [PQ, HLG, LINEAR])
def test_code_points_in_heic_count_as_in_png(transfer: int) -> None:
    # Given our drawing as HEIC and as PNG, both with the same code points
    coded = coded_hevc()
    plain = heif_file(coded.kind, [coded.item(color_box(1, SRGB_CURVE))])
    stated = heif_file(coded.kind, [coded.item(color_box(BT2020, transfer))])
    drawing = Image.fromarray(decode_pixels(plain, coded.height, coded.width))
    # When both are decoded, Then they are the same
    assert mean_difference(stated, png_with(drawing, code_point_chunk(BT2020, transfer))) < 1
    assert mean_difference(stated, plain) > 5


@pytest.mark.parametrize(("convert", "transfer"), [(as_pq, PQ), (as_hlg, HLG)], ids=["PQ", "HLG"])
def test_transparency_of_hdr_is_diffuse_white(convert: Callable[[Image.Image], Image.Image], transfer: int) -> None:
    # Given a picture with transparent corners, in HDR and in sRGB
    cut = with_transparent_corners(PICTURE)
    hdr = convert(PICTURE).convert("RGBA")
    hdr.putalpha(cut.getchannel("A"))
    # When both are decoded, Then they are the same: the corners are as white as paper, not the brightest light
    assert mean_difference(png_with(hdr, code_point_chunk(BT2020, transfer)), encode(cut, "PNG")) < 2


def test_highlights_of_hdr_are_not_cut_off() -> None:
    # Given a PQ picture of a ramp up to 1,000 nits, five times diffuse white
    ramp = np.tile(np.linspace(0, 0.75, 256), (8, 1))
    picture = Image.fromarray((ramp * 255).astype(np.uint8)).convert("RGB")
    # When it is decoded
    found = decode_pixels(png_with(picture, code_point_chunk(BT2020, PQ)), 8, 256)[4, :, 0].astype(int)
    # Then it is brighter to its end, which is white
    assert np.all(np.diff(found[100:250:10]) >= 1)
    assert found[-1] >= 250


def test_code_points_come_before_a_profile_and_a_profile_before_gamma() -> None:
    # Given a PQ picture that also has a profile, and a ProPhoto picture that also has a gamma
    both = png_with(as_pq(PICTURE), code_point_chunk(BT2020, PQ), icc_profile=rgb_profile(PROPHOTO, 1.8))
    profile = png_with(as_power(PICTURE, 1.8, PROPHOTO), gamma_chunk(1), icc_profile=rgb_profile(PROPHOTO, 1.8))
    # When they are decoded, Then the first statement counts
    assert mean_difference(both, PLAIN) < 2
    assert mean_difference(profile, PLAIN) < 2


def test_chromaticities_count_with_gamma() -> None:
    # Given a picture in the primaries of BT.2020, as the older chunks of PNG say it
    numbers = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
    chunks = gamma_chunk(2.2), png_chunk(b"cHRM", struct.pack(">8I", *numbers))
    # When it is decoded
    old, new = png_with(PICTURE, *chunks), png_with(PICTURE, code_point_chunk(BT2020, SRGB_CURVE))
    # Then it is what the newer chunk makes of it
    assert mean_difference(old, new) < 1
    assert mean_difference(old, PLAIN) > 3


def test_greys_have_profiles_too() -> None:
    grey = PICTURE.convert("L")
    light = Image.fromarray(np.asarray(as_power(grey, 1))[..., 0])
    # Given greys in linear light, as a grey picture and as a colored one
    data = encode(light, "PNG", icc_profile=grey_profile(1))
    colored = encode(light.convert("RGB"), "PNG", icc_profile=grey_profile(1))
    # When they are decoded, Then the grey one is the picture, and the profile does not fit the other
    assert mean_difference(data, encode(grey, "PNG")) < 3
    assert mean_difference(colored, encode(light, "PNG")) == 0


def test_a_profile_of_colors_counts_for_greys() -> None:
    light = as_power(PICTURE.convert("L"), 1)
    data = encode(light.convert("L"), "PNG", icc_profile=rgb_profile(SRGB, 1))
    assert mean_difference(data, encode(PICTURE.convert("L"), "PNG")) < 2


UNCHANGED = {
    "code points of sRGB": code_point_chunk(1, SRGB_CURVE),
    "code points of television": code_point_chunk(1, BT709_CURVE),
    "unspecified code points": code_point_chunk(UNSPECIFIED, UNSPECIFIED),
    "unknown code points": code_point_chunk(200, 201),
    "a gamma near sRGB's": gamma_chunk(2.2),
    "a gamma of 0": png_chunk(b"gAMA", bytes(4)),
    "an implausible gamma": png_chunk(b"gAMA", b"\0\0\0\1"),
    "sRGB and another gamma": png_chunk(b"sRGB", b"\0") + gamma_chunk(1),
    "no primaries": gamma_chunk(2.2) + png_chunk(b"cHRM", bytes(32)),
    "primaries on one line": gamma_chunk(2.2)
    + png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, *[30000, 30000] * 3)),
}


@pytest.mark.parametrize("chunks", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_statements_of_srgb_and_broken_ones_change_nothing(chunks: bytes) -> None:
    assert mean_difference(png_with(PICTURE, chunks), PLAIN) == 0


@pytest.mark.parametrize(
    "profile", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), rgb_profile(SRGB, 2.2)]
)
def test_a_profile_of_srgb_changes_nothing(profile: bytes) -> None:
    assert np.array_equal(pixels(with_profile(profile)), pixels(PLAIN_JPEG))


WIDE = rgb_profile(DISPLAY_P3, 1.8)
IGNORED = {
    "noise": np.random.default_rng(0).bytes(3000),
    "a cut one": WIDE[:200],
    "one without tags": icc_profile(b"RGB ", {}),
    "a million tags": WIDE[:128] + struct.pack(">I", 10**6) + WIDE[132:],
    "inks": icc_profile(b"CMYK", {}),
    "an empty one": b"",
    "one of 3 MB": WIDE.ljust(3_000_000, b"\0"),
    "one with a calculator": rgb_profile(DISPLAY_P3, 1.8, D2B0=b"mpet" + bytes(60)),
    "code points outside it": rgb_profile(SRGB, 2.2, cicp=b"cicp"),
}


@pytest.mark.parametrize("profile", IGNORED.values(), ids=IGNORED.keys())
def test_a_profile_that_cannot_be_used_is_ignored(profile: bytes) -> None:
    assert np.array_equal(pixels(with_profile(profile)), pixels(PLAIN_JPEG))


def test_a_profile_that_unpacks_to_much_is_ignored() -> None:
    # Given a PNG whose profile of some kilobytes becomes a megabyte of zeros
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1024 * 1024)))
    assert mean_difference(png_with(PICTURE, profile), PLAIN) == 0


def test_the_largest_table_costs_little() -> None:
    # Given a profile with as many entries as fit
    table = np.random.default_rng(0).integers(0, 65536, 55**3 * 3).astype(">u2").tobytes()
    data = with_profile(icc_profile(b"RGB ", {"A2B0": lut_tag(table, 55)}))
    # When it is decoded, Then the table, which is read once, takes less than a second
    assert least_cpu_seconds(lambda: decode_pixels(data, 224, 224)) < 1


def test_damaged_profiles_are_ignored_or_used() -> None:
    # Given profiles with some wrong bytes
    random, picture = np.random.default_rng(0), PICTURE.resize((30, 20))
    table = random.integers(0, 65536, 5**3 * 3).astype(">u2").tobytes()
    for profile in (WIDE, icc_profile(b"RGB ", {"A2B0": lut_tag(table, 5)}), grey_profile(1.8)):
        for _ in range(60):
            damaged = bytearray(profile)
            for place in random.integers(0, len(damaged), 4):
                damaged[place] = random.integers(0, 256)
            # When a picture has one, Then it is decoded
            assert decode_pixels(encode(picture, "JPEG", icc_profile=bytes(damaged)), 8, 8).shape == (8, 8, 3)

"""The same picture in other colors than sRGB: HDR, linear light, wide gamuts."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.heif import coded_av1, color_box, heif_file
from tests.support.icc import ADOBE_RGB, DISPLAY_P3, PROPHOTO, SRGB, Colorants, code_point_tag, rgb_profile
from tests.support.pictures import encode, png_chunk

Floats = NDArray[np.float64]

# Code points of ITU-T H.273.
BT2020, SRGB_CURVE, LINEAR, PQ, HLG = 9, 13, 8, 16, 18
# From linear BT.709 to linear BT.2020 (ITU-R BT.2087).
_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_HDR_WHITE_NITS = 203


def as_pq(image: Image.Image) -> Image.Image:
    """Return an sRGB picture in BT.2020 and PQ; its white has 203 nits."""
    light = (_light(image) @ _TO_BT2020.T * _HDR_WHITE_NITS / 10_000) ** 0.1593017578125
    return _picture(((0.8359375 + 18.8515625 * light) / (1 + 18.6875 * light)) ** 78.84375)


def as_hlg(image: Image.Image) -> Image.Image:
    """Return an sRGB picture in BT.2020 and HLG; its white is 75 %."""
    display = _light(image) @ _TO_BT2020.T * _HDR_WHITE_NITS / 1000
    luminance = np.maximum(display @ [0.2627, 0.6780, 0.0593], 1e-9)[..., np.newaxis]
    scene = display * luminance ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return _picture(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


def as_power(image: Image.Image, exponent: float, colorants: Colorants = SRGB) -> Image.Image:
    """Return an sRGB picture whose light is the stored value to a power, with primaries adapted to D50."""
    matrix = np.linalg.inv(_columns(colorants)) @ _columns(SRGB)
    return _picture((_light(image) @ matrix.T).clip(0, 1) ** (1 / exponent))


def png_with(image: Image.Image, *chunks: bytes, **options: object) -> bytes:
    """Return a PNG with further chunks before its pixels."""
    data = encode(image, "PNG", **options)
    return data[:33] + b"".join(chunks) + data[33:]


def gamma_chunk(exponent: float) -> bytes:
    """Return the chunk that says that light is the stored value to a power."""
    return png_chunk(b"gAMA", struct.pack(">I", round(100_000 / exponent)))


def code_point_chunk(primaries: int, transfer: int) -> bytes:
    """Return the chunk with code points of colors."""
    return png_chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


def avif_with(image: Image.Image, primaries: int, transfer: int) -> bytes:
    """Return an AVIF with code points of colors."""
    coded = coded_av1(image, quality=100, subsampling="4:4:4")
    return heif_file(coded.kind, [coded.item(color_box(primaries, transfer))])


def _profiled(format_name: str, exponent: float, colorants: Colorants) -> Callable[[Image.Image], bytes]:
    options = {"quality": 97, "subsampling": "4:4:4"} if format_name in ("JPEG", "AVIF") else {}
    if format_name == "WEBP":
        options = {"lossless": True}
    profile = rgb_profile(colorants, exponent)
    return lambda image: encode(as_power(image, exponent, colorants), format_name, icc_profile=profile, **options)


def _light(image: Image.Image) -> Floats:
    values = np.asarray(image.convert("RGB")) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _picture(values: Floats) -> Image.Image:
    return Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))


def _columns(colorants: Colorants) -> Floats:
    return np.array(colorants).T


# An sRGB picture in, a file out that shows the same.
COLORED: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG, PQ": lambda image: png_with(as_pq(image), code_point_chunk(BT2020, PQ)),
    "PNG, HLG": lambda image: png_with(as_hlg(image), code_point_chunk(BT2020, HLG)),
    "PNG, linear": lambda image: png_with(as_power(image, 1), gamma_chunk(1)),
    "PNG, linear by code points": lambda image: png_with(as_power(image, 1), code_point_chunk(1, LINEAR)),
    "PNG, gamma of old Macs": lambda image: png_with(as_power(image, 1.8), gamma_chunk(1.8)),
    "PNG, PQ by the name of its profile": lambda image: png_with(
        as_pq(image), png_chunk(b"iCCP", b"ITUR_2100_PQ_FULL\0\0" + zlib.compress(rgb_profile(SRGB, 2.2)))
    ),
    "AVIF, PQ": lambda image: avif_with(as_pq(image), BT2020, PQ),
    "AVIF, HLG": lambda image: avif_with(as_hlg(image), BT2020, HLG),
    "JPEG, PQ by its profile": lambda image: encode(
        as_pq(image),
        "JPEG",
        quality=97,
        subsampling="4:4:4",
        icc_profile=rgb_profile(SRGB, 2.2, cicp=code_point_tag(BT2020, PQ)),
    ),
    "JPEG, ProPhoto": _profiled("JPEG", 1.8, PROPHOTO),
    "JPEG, Display P3": _profiled("JPEG", 2.2, DISPLAY_P3),
    "JPEG, Adobe RGB": _profiled("JPEG", 2.2, ADOBE_RGB),
    "PNG, ProPhoto": _profiled("PNG", 1.8, PROPHOTO),
    "TIFF, ProPhoto": _profiled("TIFF", 1.8, PROPHOTO),
    "WebP, ProPhoto": _profiled("WEBP", 1.8, PROPHOTO),
    "AVIF, ProPhoto": _profiled("AVIF", 1.8, PROPHOTO),
    "PNG, linear by its profile": _profiled("PNG", 1.0, SRGB),
}

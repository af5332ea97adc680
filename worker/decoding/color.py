"""Determines the color space of a file from its ICC profile or its code points."""

import struct
from typing import Protocol

from PIL import Image

from worker.decoding.coded_color import BT2020, HLG, PQ, coded_color, gamma_color
from worker.decoding.heif import HeifContainer
from worker.decoding.png import header_chunks
from worker.decoding.profile_color import code_points, profile_color

# The name of the profile that marked PNGs as PQ before the chunk cICP existed (W3C note of 2017).
PQ_PROFILE = b"ITUR_2100_PQ_FULL\0"


class Color(Protocol):
    """The color space of a file, if it is not sRGB."""

    @property
    def convert_early(self) -> bool:
        """Whether to convert before most of the resizing, because averages of the stored values have wrong colors.

        Otherwise the final pixels are converted, which is cheaper.
        """

    @property
    def white_level(self) -> int:
        """The level that is white in sRGB; transparent parts are composed over it."""

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Return a picture of mode L or RGB as sRGB in mode RGB."""


def find_color(image: Image.Image, data: bytes) -> Color | None:
    """Return the color space that the file of an opened picture declares; None if it is sRGB or damaged."""
    if image.format == "PNG":
        return _png_color(image, data)
    if profile := image.info.get("icc_profile"):
        return _profile_color(profile)
    if image.format in ("HEIF", "AVIF"):
        return _heif_color(data)
    return None


def _profile_color(profile: bytes) -> Color | None:
    # Tables of HDR profiles are made for printing; the code points say what a screen shows.
    stated = code_points(profile)
    return coded_color(*stated) if stated and stated[1] in (PQ, HLG) else profile_color(profile)


def _heif_color(data: bytes) -> Color | None:
    try:
        stated = HeifContainer.read(data).code_points()
    except ValueError:  # a sequence (AVIF) need not have the boxes of a single picture
        return None
    return coded_color(*stated) if stated else None


def _png_color(image: Image.Image, data: bytes) -> Color | None:
    """Return the color by the chunk that takes precedence (PNG, third edition, 4.3)."""
    header = header_chunks(data)
    if len(code := header.get(b"cICP", b"")) == 4:
        return coded_color(code[0], code[1])
    if bytes(header.get(b"iCCP", b"")[: len(PQ_PROFILE)]) == PQ_PROFILE:
        return coded_color(BT2020, PQ)
    if b"iCCP" in header and (profile := image.info.get("icc_profile")):
        return _profile_color(profile)
    if b"sRGB" in header or not (encoding := int.from_bytes(header.get(b"gAMA", b""))):
        return None
    stated = header.get(b"cHRM", b"")
    numbers = struct.unpack(">8I", stated) if len(stated) == 32 else ()
    return gamma_color(100_000 / encoding, tuple(each / 100_000 for each in numbers))

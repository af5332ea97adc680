"""Converts colors with ICC profiles, by LittleCMS."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

# Profiles of cameras, screens and scanners are smaller; those of presses describe CMYK, which is not converted.
MAX_PROFILE_BYTES = 1024 * 1024
# Profiles that change 8-bit colors by at most this many levels on average are ignored: mainly variants of sRGB.
UNSEEN_LEVELS = 3
# The header of a profile with the number of tags, and one entry of the list of tags after it.
_HEADER_BYTES, _ENTRY_BYTES = 132, 12
_MAX_TAGS = 100


@dataclass(frozen=True)
class ProfileColor:
    """An ICC profile of RGB or greys."""

    transform: ImageCms.ImageCmsTransform
    convert_early: bool = False
    white_level: int = 255

    def to_srgb(self, image: Image.Image) -> Image.Image:
        mode = self.transform.input_mode
        if mode == "L" and image.mode != "L":
            return image.convert("RGB")
        return self.transform.apply(image.convert(mode))


def profile_color(profile: bytes) -> ProfileColor | None:
    """Return the color of an ICC profile; None if it is (nearly) sRGB, unreadable or too costly."""
    # The time of calculator elements ("mpet") is unlimited.
    if len(profile) > MAX_PROFILE_BYTES or b"mpet" in profile:
        return None
    return _read(profile)


def code_points(profile: bytes) -> tuple[int, int] | None:
    """Return primaries and transfer function (ITU-T H.273) if an ICC profile states them in its tag "cicp"."""
    tags = min(int.from_bytes(profile[_HEADER_BYTES - 4 : _HEADER_BYTES]), _MAX_TAGS)
    for start in range(_HEADER_BYTES, _HEADER_BYTES + _ENTRY_BYTES * tags, _ENTRY_BYTES):
        if profile[start : start + 4] == b"cicp":
            offset = int.from_bytes(profile[start + 4 : start + 8])
            stated = profile[offset + 8 : offset + 10]
            return (stated[0], stated[1]) if len(stated) == 2 else None
    return None


# Most pictures have one of a few profiles: those of phones and editors.
@lru_cache(maxsize=16)
def _read(profile: bytes) -> ProfileColor | None:
    """Return the conversion of an ICC profile, if it is readable and changes colors visibly."""
    mode = {b"RGB ": "RGB", b"GRAY": "L"}.get(profile[16:20])
    if mode is None:
        return None
    colors = _all_colors() if mode == "RGB" else Image.linear_gradient("L")
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
        changed = np.asarray(transform.apply(colors), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    difference = np.abs(changed - np.asarray(colors.convert("RGB"), np.int16)).mean()
    return ProfileColor(transform) if difference > UNSEEN_LEVELS else None


def _all_colors() -> Image.Image:
    """Return a picture of evenly spaced colors."""
    steps = np.linspace(0, 255, 16, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3))

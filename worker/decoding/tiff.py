"""Scales the samples of TIFFs to 8 bits, and corrects the colors that Pillow decodes wrong."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

Tags = TiffImagePlugin.ImageFileDirectory_v2

# White in a TIFF, which rarely states it: the smallest of these that no value exceeds, or the largest value. Cameras of
# microscopes store 10, 12 or 14 bits in 16. docs/decisions/0020-rare-pictures.md says why tags are not used.
WHITES = (1, 255, 1023, 4095, 16_383, 65_535)
SIGNED_WHITES = (*WHITES[:-1], 32_767, WHITES[-1])
# The same for the high bytes of colors of 16 bits, without 1 and 255.
_HIGH_WHITES = tuple(white >> 8 for white in WHITES[2:])
_WHITE_IS_ZERO, _DEEP = 0, 16
_SIGNED = (2,)


def corrected_tiff(image: TiffImagePlugin.TiffImageFile) -> Image.Image:
    """Return the decoded picture with its colors in the full range of 8 bits, in a mode that Pillow can convert."""
    if image.mode.startswith(("I", "F")):
        return _grey(np.asarray(image), image.tag_v2)
    if image.mode in ("P", "PA"):
        _correct_palette(image)
    if image.mode == "La":
        return image.convert("LA")
    if image.mode in ("RGB", "RGBA") and image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))[0] == _DEEP:
        return _brightened(image)
    return image


def _grey(values: NDArray[Any], tags: Tags) -> Image.Image:
    """Return greys of more than 8 bits as L."""
    is_signed = tags.get(TiffImagePlugin.SAMPLEFORMAT) == _SIGNED
    if values.dtype == np.int32 and not is_signed:
        values = values.view(np.uint32)
    elif values.dtype == np.float32:
        values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    is_negative = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    bits = tags[TiffImagePlugin.BITSPERSAMPLE][0]
    white = 2**bits - 1 if bits < _DEEP else _white(float(np.max(values)), SIGNED_WHITES if is_signed else WHITES)
    if values.dtype.itemsize == 2:
        table = _scaled(np.arange(65_536, dtype=np.float32), white, is_negative)
        return Image.fromarray(table[values])
    return Image.fromarray(_scaled(values.astype(np.float32), white, is_negative))


def _white(largest: float, whites: tuple[int, ...]) -> float:
    return next((white for white in whites if largest <= white), largest)


def _scaled(values: NDArray[np.float32], white: float, is_negative: bool) -> NDArray[np.uint8]:
    """Scale `values` in place, as every copy of a large picture takes four bytes per pixel."""
    values *= np.float32(255 / white)
    if is_negative:
        np.subtract(255, values, out=values)
    return np.rint(values.clip(0, 255, out=values), out=values).astype(np.uint8)


def _correct_palette(image: TiffImagePlugin.TiffImageFile) -> None:
    """Correct a palette with 8-bit values in its 16-bit entries: Pillow uses the upper 8 bits."""
    colors = image.tag_v2[TiffImagePlugin.COLORMAP]
    if max(colors) <= 255:
        image.putpalette(bytes(colors), "RGB;L")


def _brightened(image: Image.Image) -> Image.Image:
    """Scale colors of 16 bits per sample, of which Pillow has kept the upper 8, so that their white is 255.

    A dark picture would get a wrong label; one of few levels gets the right one.
    """
    red, green, blue, *alpha = image.split()
    largest = max(int(band.getextrema()[1]) for band in (red, green, blue))  # type: ignore[arg-type]
    white = int(_white(largest, _HIGH_WHITES))
    if white == 255:
        return image
    brighter = [band.point([min(255, level * 255 // white) for level in range(256)]) for band in (red, green, blue)]
    return Image.merge(image.mode, (*brighter, *alpha))

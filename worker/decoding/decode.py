"""Decodes a picture to the input array of a model: the only place where pixels are decoded."""

import time

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from PIL import ExifTags, Image

from shared.errors import PictureTooExpensive, UndecodablePicture
from shared.images.inspect import open_picture
from worker.runtime.cpu_time import OWN_SECONDS

# Two shortcuts for large pictures; docs/decisions/0003-decode.md measures their effect on results.
# A JPEG is decoded at the smallest of its scales (1/2, 1/4, 1/8) that is at least this many times the target size.
DRAFT_MARGIN = 2
# Other pictures are box-averaged down to about this many times the target size, then filtered.
REDUCING_GAP = 4

# The operation that makes a picture upright, by EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# Errors in decoding that do not mean that the picture is damaged.
_NOT_DAMAGE = (MemoryError, SoftTimeLimitExceeded)


# Part of the key of cached results: raise it with every change here that may change a result.
PREPROCESSING_VERSION = 2


def decode(data: bytes, height: int, width: int) -> NDArray[np.float32]:
    """Return the picture as float32 [height, width, 3] in [0, 1]; otherwise like `decode_pixels`."""
    return as_input(decode_pixels(data, height, width))


def as_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale uint8 pixels of any shape to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def decode_pixels(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Return the picture as uint8 [height, width, 3]: RGB, upright, transparent parts on white.

    The whole picture is resized with Pillow's bicubic filter, without cropping and without keeping its aspect ratio, as
    in the original program. For an animation, this is the first frame.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format.
        UndecodablePicture: the pixels are damaged or cut off.
        PictureTooExpensive: the time limit was exceeded, and decoding has used over OWN_SECONDS of CPU time.
        SoftTimeLimitExceeded: the time limit was exceeded, but decoding has used less.
    """
    began = time.thread_time()
    try:
        return _decode(data, height, width)
    except SoftTimeLimitExceeded:
        if time.thread_time() - began > OWN_SECONDS:
            raise PictureTooExpensive("Decoding takes longer than allowed.") from None
        raise


def _decode(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    with open_picture(data, passing=_NOT_DAMAGE) as image:
        try:
            side = DRAFT_MARGIN * max(height, width)
            image.draft(None, (side, side))
            image.load()
            small = _squeeze(image, height, width)
        except _NOT_DAMAGE:
            raise
        except Exception as error:  # each of Pillow's decoders raises its own errors for damaged data
            raise UndecodablePicture(f"The picture cannot be decoded: {_reason(error)}.") from error
    return np.asarray(small, dtype=np.uint8)


def _squeeze(image: Image.Image, height: int, width: int) -> Image.Image:
    """Return a decoded picture as RGB, upright, `width` times `height` pixels."""
    orientation = _orientation(image)
    size = (height, width) if orientation in _SIDEWAYS else (width, height)
    flat = _flatten(image)
    # Rotate and convert after resizing, on fewer pixels; the filter treats rows, columns and bands separately.
    small = flat.resize(size, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP).convert("RGB")
    return small.transpose(_TURNS[orientation]) if orientation in _TURNS else small


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if the EXIF data are damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except _NOT_DAMAGE:
        raise
    except Exception:  # Pillow parses EXIF lazily; damaged data may raise anything
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _flatten(image: Image.Image) -> Image.Image:
    """Return the picture as L or RGB: 8 bits per sample, no palette, no transparency."""
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _flatten_32_bits(image)
    if image.has_transparency_data:
        picture = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        return white
    return image.convert("RGB")


def _flatten_32_bits(image: Image.Image) -> Image.Image:
    """Scale 32-bit greyscale, which has no standard range: white is 1, 255, 65535 or, above that, the largest value."""
    values = np.array(image, dtype=np.float32)
    np.nan_to_num(values, copy=False, nan=0, posinf=0, neginf=0)
    largest = np.max(values)
    white = next((limit for limit in (1, 255, 65535) if largest <= limit), largest)
    # In place: every copy of a large picture takes four bytes per pixel.
    values *= np.float32(255 / white)
    return Image.fromarray(np.rint(values.clip(0, 255, out=values), out=values).astype(np.uint8))


def _reason(error: Exception) -> str:
    # Errors of other types are internal to the readers; their messages do not help users.
    told = isinstance(error, OSError | SyntaxError | ValueError) and " ".join(str(error).split()).rstrip(". ")
    return told or "its data are damaged"

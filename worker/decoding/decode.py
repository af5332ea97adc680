"""Decodes a picture to the input array of a model: the only place where pixels are decoded."""

import time

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from shared.images.inspect import cleaned, open_picture
from shared.images.jpeg import is_lossless_jpeg
from worker.decoding.color import Color, find_color
from worker.decoding.heif import HeifContainer
from worker.decoding.jpeg import with_end
from worker.decoding.png import check_rows, first_frame, transparent_pixels
from worker.decoding.resize import resize
from worker.decoding.tiff import corrected_tiff
from worker.runtime.cpu_time import OWN_SECONDS

# A JPEG is decoded at the smallest of its scales (1/2, 1/4, 1/8) that is at least this many times the target size;
# docs/decisions/0003-decode.md measures the effect on results.
DRAFT_MARGIN = 2
# HDR and linear pictures are box-averaged to at least this many times the target size before their colors are
# converted; docs/decisions/0019-colors.md.
COLOR_MARGIN = 2

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

# Errors that do not mean that the picture is damaged.
_NOT_DAMAGE = (MemoryError, SoftTimeLimitExceeded)


# Part of the key of cached results: raise it with every change here that may change a result.
PREPROCESSING_VERSION = 3


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
    try:
        return _decode_once(data, height, width)
    except UndecodablePicture:
        whole = with_end(data)
        if whole is None:
            raise
    return _decode_once(whole, height, width)


def _decode_once(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    try:
        data = cleaned(data)
        if frame := first_frame(data):
            data = frame.data
        with open_picture(data, passing=_NOT_DAMAGE) as image:
            _load(image, data, DRAFT_MARGIN * max(height, width))
            color = find_color(image, data)
            white = color.white_level if color else 255
            flat = _flatten(image, data, white)
            picture = frame.on_picture(flat, white) if frame else flat
            small = _squeeze(picture, _orientation(image), height, width, color)
    except (*_NOT_DAMAGE, UnsupportedPicture):
        raise
    except Exception as error:  # each of Pillow's decoders raises its own errors for damaged data
        raise UndecodablePicture(f"The picture cannot be decoded: {_reason(error)}.") from error
    return np.asarray(small, dtype=np.uint8)


def _load(image: Image.Image, data: bytes, side: int) -> None:
    """Decode the pixels; a JPEG may be scaled down, but not below `side` x `side`."""
    if image.format == "HEIF":
        HeifContainer.read(data).check_complete()
    # Pillow would use the orientation in XMP, for a TIFF during load(). Browsers ignore it; editors do not update it.
    image.info.pop("xmp", None)
    if not is_lossless_jpeg(data):  # a lossless one has no smaller scales
        image.draft(None, (side, side))
    image.load()
    if image.format == "PNG":
        check_rows(image, data)


def _squeeze(picture: Image.Image, orientation: int, height: int, width: int, color: Color | None) -> Image.Image:
    """Return a picture of mode L or RGB as sRGB, upright, `width` times `height` pixels."""
    size = (height, width) if orientation in _SIDEWAYS else (width, height)
    # Rotate and convert after resizing, on fewer pixels; the filter treats rows, columns and bands separately.
    if color and color.convert_early:
        factors = [max(1, side // (COLOR_MARGIN * wanted)) for side, wanted in zip(picture.size, size, strict=True)]
        picture, color = color.to_srgb(picture.reduce((factors[0], factors[1]))), None
    small = resize(picture, *size)
    small = color.to_srgb(small) if color else small.convert("RGB")
    return small.transpose(_TURNS[orientation]) if orientation in _TURNS else small


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if the EXIF data are damaged."""
    if image.format == "HEIF":
        return 1  # libheif has rotated it; EXIF is ignored (in AVIF, Pillow's EXIF is the container's orientation)
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except _NOT_DAMAGE:
        raise
    except Exception:  # Pillow parses EXIF lazily; damaged data may raise anything
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _flatten(image: Image.Image, data: bytes, white: int) -> Image.Image:
    """Return the picture as L or RGB: 8 bits per sample, no palette; transparent parts have the level `white`."""
    transparent = transparent_pixels(image, data)
    if transparent is None:
        return _compose(image, white)
    del image.info["transparency"]
    pixels = np.array(_compose(image, white))
    pixels[transparent] = white
    return Image.fromarray(pixels)


def _compose(image: Image.Image, white: int) -> Image.Image:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        image = corrected_tiff(image)
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # as in browsers: many programs leave the alpha bytes empty
    if image.mode == "I;16":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.has_transparency_data:
        picture = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", picture.size, (white, white, white))
        flat.paste(picture, mask=picture)
        return flat
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    # Errors of other types are internal to the readers; their messages do not help users.
    is_clear = isinstance(error, OSError | SyntaxError | ValueError)
    message = " ".join(str(error).split()).rstrip(". ") if is_clear else ""
    if message.startswith("image file is truncated") or message.endswith("Truncated data"):
        return "its data are cut off; send the complete file"
    if not message or message.startswith(("decoder error", "broken data stream")):
        return "its data are damaged or cut off"
    return message

"""Bytes of a picture to the array a network takes: the only place where pixels are decoded."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared.errors import UndecodablePicture
from shared.pictures import open_picture

# A JPEG is decoded at the smallest of its cheap scales that still has this many times the wanted side, so that
# the bicubic filter sees nearly what it would have seen at full size (docs/decisions/0003-decode.md).
DRAFT_MARGIN = 2


def decode(data: bytes, height: int, width: int) -> NDArray[np.float32]:
    """Return the picture as float32 [height, width, 3] in [0, 1], RGB, upright, transparency laid over white.

    The whole picture is squeezed to the wanted size with Pillow's bicubic filter, without cropping, as the
    original program did.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format.
        UndecodablePicture: the pixels are damaged or cut off.
    """
    with open_picture(data) as image:
        try:
            image.draft("RGB", (DRAFT_MARGIN * width, DRAFT_MARGIN * height))
            image.load()
            turned = _turns_sideways(image)
            small = _to_rgb(image).resize((height, width) if turned else (width, height), Image.Resampling.BICUBIC)
            # A filter along rows and columns commutes with turning, and turning the small picture is cheap.
            small.info, small.getexif()[_ORIENTATION] = {}, image.getexif().get(_ORIENTATION, 1)
            upright = ImageOps.exif_transpose(small)
        except MemoryError:
            raise
        except Exception as error:  # each of Pillow's decoders has its own errors for damaged data
            raise UndecodablePicture(f"The picture cannot be decoded: {_reason(error)}.") from error
    return np.asarray(upright, dtype=np.float32) / np.float32(255)


_ORIENTATION = 0x0112


def _turns_sideways(image: Image.Image) -> bool:
    """Whether the EXIF orientation swaps width and height (values 5 to 8)."""
    return cast(int, image.getexif().get(_ORIENTATION, 1)) in (5, 6, 7, 8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _deep_grey_to_rgb(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Scale greys of more than 8 bits down instead of clipping them at 255."""
    values = np.asarray(image, dtype=np.float64)
    largest = 1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 65535.0
    scaled = np.clip(values * (255 / largest), 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__

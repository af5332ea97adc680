"""Opening a picture of an accepted format: its header only, pixels are decoded by whoever needs them."""

import hashlib
import io

import pi_heif
from PIL import Image

from shared.errors import UnsupportedPicture
from shared.job import Picture

# Pillow's names; MPO is what many phones write as .jpg and is found by the JPEG reader.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "HEIF")
FORMAT_NAMES = "JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF or HEIC"


def set_up_pillow() -> None:
    """Teach Pillow HEIC; to be called once by every process that opens pictures."""
    pi_heif.register_heif_opener()
    # The service has a limit of its own (MAX_IMAGE_PIXELS), read from the header before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None


def open_picture(data: bytes) -> Image.Image:
    """Open `data` without decoding its pixels.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format.
    """
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # Pillow's readers raise far more than UnidentifiedImageError on broken headers
        raise UnsupportedPicture(f"This is not a picture that can be read. Send a {FORMAT_NAMES} file.") from None


def inspect_picture(data: bytes) -> Picture:
    """Return what the header of `data` says: format, width and height in pixels; raises as `open_picture`."""
    with open_picture(data) as image:
        width, height = image.size
        name = "JPEG" if image.format == "MPO" else str(image.format)
    return Picture(sha256=hashlib.sha256(data).hexdigest(), format=name, width=width, height=height, bytes=len(data))

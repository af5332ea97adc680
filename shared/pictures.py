"""Opening a picture of an accepted format: its header only, pixels are decoded by whoever needs them."""

import hashlib
import io
import warnings

import pi_heif
from PIL import AvifImagePlugin, Image

from shared.errors import UnsupportedPicture
from shared.job import Picture

# Pillow's names; MPO is what many phones write as .jpg and is found by the JPEG reader.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "HEIF")
FORMAT_NAMES = "JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF or HEIC"


def set_up_pillow() -> None:
    """Set Pillow up, HEIC included; to be called once by every process that opens pictures, before its threads."""
    # All readers now: Pillow would load most of them at the first picture.
    Image.init()
    # One thread a picture: every core has a worker of its own.
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # The service has a limit of its own (MAX_IMAGE_PIXELS), read from the header before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    # What the readers find odd in a client's picture is no message for the operator. For the whole process, as
    # `warnings.catch_warnings` is not safe among threads.
    warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)\.")


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

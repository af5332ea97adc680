"""Opening a picture of an accepted format: its header only, pixels are decoded by whoever needs them."""

import hashlib
import io
import warnings

import pi_heif
from PIL import AvifImagePlugin, Image

from shared.errors import PictureTooLarge, UnsupportedPicture
from shared.images.formats import BY_PILLOW_NAME, READERS, UNREADABLE
from shared.jobs.models import ImageInfo

TOO_LONG = "The header of the picture is too long to be read."

# A side of a picture: the most that a JPEG can have. No camera or scanner makes a longer one.
MAX_SIDE = 65_535
# Only the first frame is ever decoded, but the readers of most formats build a table of all.
MAX_FRAMES = 5_000
# How often the header of a picture is read from, at most. Pictures of cameras and editors take some hundred times; each
# is Python, under the one lock that all requests of an API share.
MOST_READS = 20_000
# The largest of a TIFF's tags that counts for its header, and the most EXIF data that are looked at: each value becomes
# an object. It is room for the places of 65,535 strips.
MOST_TAG_BYTES = 256 * 1024


def set_up_pillow() -> None:
    """Set Pillow up, HEIC included; to be called once by every process that opens pictures, before its threads."""
    # All readers now: Pillow would load most of them at the first picture.
    Image.init()
    # One thread a picture: every core has a worker of its own.
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # The service has a limit of its own (MAX_IMAGE_PIXELS), read from the header before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    # Pillow, too, looks for this class by its name, in the API and in workers.
    Image.Exif = _Exif  # type: ignore[misc]
    # What the readers find odd in a client's picture is no message for the operator. For the whole process, as
    # `warnings.catch_warnings` is not safe among threads.
    warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)\.")


class _Exif(Image.Exif):
    """EXIF data, none if there are more than any camera writes."""

    def load(self, data: bytes) -> None:
        super().load(data if len(data) <= MOST_TAG_BYTES else b"")


class _Header(io.BytesIO):
    """The file for a look at the header, which ends when the header is longer than any honest one."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._is_tiff = data[:2] in (b"II", b"MM")
        self._reads_left = MOST_READS
        self._exif_left = MOST_TAG_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if not self._reads_left:
            raise UnsupportedPicture(TOO_LONG)
        if self._is_tiff and size and size > MOST_TAG_BYTES:
            # Pillow ends its list of tags here. Those that it needs come first, as tags are sorted; the large ones
            # (layers, profiles) are at the end.
            raise OSError(TOO_LONG)
        found = super().read(size)
        if found.startswith(b"Exif\0\0"):
            # Of a JPEG, which may have them in pieces: Pillow copies all it has at each further one.
            self._exif_left -= len(found)
            if self._exif_left < 0:
                raise UnsupportedPicture(TOO_LONG)
        return found


def open_picture(data: bytes, passing: tuple[type[Exception], ...] = ()) -> Image.Image:
    """Open `data` without decoding its pixels.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format. Errors of the types `passing` say no such
            thing, and pass through.
    """
    return _open(io.BytesIO(data), passing)


def inspect_picture(data: bytes) -> ImageInfo:
    """Return what the header of `data` says: format, width and height in pixels.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format, or their header has no end.
        PictureTooLarge: a side, or the number of frames, is over its limit.
    """
    with _open(_Header(data), (UnsupportedPicture,)) as image:
        width, height = image.size
        known = BY_PILLOW_NAME[str(image.format)]
        # Where the header does not have the number, Pillow would read the whole file to count.
        frames = getattr(image, "n_frames", 1) if known.counts_frames else 1
    if max(width, height) > MAX_SIDE:
        raise PictureTooLarge(f"The picture is {width} x {height} pixels; no side may have more than {MAX_SIDE}.")
    if frames > MAX_FRAMES:
        raise PictureTooLarge(f"The picture has {frames} frames; at most {MAX_FRAMES} are accepted.")
    return ImageInfo(
        sha256=hashlib.sha256(data).hexdigest(), format=known.pillow, width=width, height=height, bytes=len(data)
    )


def _open(file: io.BytesIO, passing: tuple[type[Exception], ...]) -> Image.Image:
    try:
        return Image.open(file, formats=READERS)
    except passing:
        raise
    except Exception:  # Pillow's readers raise far more than UnidentifiedImageError on broken headers
        raise UnsupportedPicture(UNREADABLE) from None

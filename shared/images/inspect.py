"""Opens pictures of the accepted formats and reads their headers, without decoding pixels."""

import hashlib
import io
import warnings

import pi_heif
from PIL import AvifImagePlugin, Image

from shared.errors import PictureTooLarge, UnsupportedPicture
from shared.images.formats import BY_PILLOW_NAME, READERS, UNREADABLE
from shared.jobs.models import ImageInfo

TOO_LONG = "The header of the picture is too long to be read."

# Longest side: the limit of JPEG. No camera or scanner produces a longer one.
MAX_SIDE = 65_535
# Only the first frame is decoded, but the readers of most formats build a table of all frames.
MAX_FRAMES = 5_000
# Limit of reads for one header. Pictures of cameras and editors need some hundred; each read runs Python code under the
# GIL, which all requests of an API process share.
MOST_READS = 20_000
# Largest TIFF tag that is read with the header, and limit of the EXIF data that are parsed: each value becomes an
# object. This is enough for the offsets of 65,535 strips.
MOST_TAG_BYTES = 256 * 1024
# Length and name of a chunk.
PNG_CHUNK_HEAD_BYTES = 8


def set_up_pillow() -> None:
    """Set up Pillow and HEIC; call once in every process that opens pictures, before it starts threads."""
    # Load all readers now: Pillow would load most of them at the first picture.
    Image.init()
    # One thread per picture: there is a worker process for every core.
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # The service has its own limit (MAX_IMAGE_PIXELS), checked on the header before decoding.
    Image.MAX_IMAGE_PIXELS = None
    # Pillow looks up this class by name, so the replacement applies to Pillow's own readers as well.
    Image.Exif = _Exif  # type: ignore[misc]
    # Warnings about a client's picture do not concern the operator. Filter them for the whole process, because
    # `warnings.catch_warnings` is not thread-safe.
    warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)\.")


class _Exif(Image.Exif):
    """EXIF data; ignored if there are more than any camera writes."""

    def load(self, data: bytes) -> None:
        super().load(data if len(data) <= MOST_TAG_BYTES else b"")


class _Header(io.BytesIO):
    """A file for reading the header; raises an error if the header is longer than any genuine one."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._is_tiff = data[:2] in (b"II", b"MM")
        self._reads_left = MOST_READS
        self._exif_left = MOST_TAG_BYTES
        self._profiles_left = 1

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if not self._reads_left:
            raise UnsupportedPicture(TOO_LONG)
        if self._is_tiff and size and size > MOST_TAG_BYTES:
            # At this error Pillow stops reading tags. Tags are sorted: the required ones come first, the large ones
            # (layers, profiles) last.
            raise OSError(TOO_LONG)
        found = super().read(size)
        if size == PNG_CHUNK_HEAD_BYTES and found.endswith(b"iCCP"):
            # A PNG has one color profile at most; Pillow decompresses each, up to a megabyte.
            self._profiles_left -= 1
            if self._profiles_left < 0:
                raise UnsupportedPicture(TOO_LONG)
        if found.startswith(b"Exif\0\0"):
            # A JPEG may split its EXIF data into pieces; at each one, Pillow copies all pieces so far.
            self._exif_left -= len(found)
            if self._exif_left < 0:
                raise UnsupportedPicture(TOO_LONG)
        return found


def open_picture(data: bytes, passing: tuple[type[Exception], ...] = ()) -> Image.Image:
    """Open `data` without decoding its pixels.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format. Errors of the types in `passing`
            propagate instead.
    """
    return _open(io.BytesIO(data), passing)


def inspect_picture(data: bytes) -> ImageInfo:
    """Return format, width and height in pixels from the header of `data`.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format, or the header is too long.
        PictureTooLarge: a side or the number of frames exceeds its limit.
    """
    with _open(_Header(data), (UnsupportedPicture,)) as image:
        width, height = image.size
        known = BY_PILLOW_NAME[str(image.format)]
        # If the header lacks the number of frames, Pillow would read the whole file to count them.
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
    except Exception:  # Pillow's readers raise many kinds of errors on broken headers
        raise UnsupportedPicture(UNREADABLE) from None

"""Opens pictures of the accepted formats and reads their headers, without decoding pixels."""

import hashlib
import io
import warnings
from typing import NoReturn

import pi_heif
from PIL import AvifImagePlugin, Image, TiffImagePlugin

from shared.errors import PictureTooLarge, UnsupportedPicture
from shared.images.bmp import corrected_bmp
from shared.images.declared_length import is_cut_off
from shared.images.formats import BY_PILLOW_NAME, CUT_OFF, DAMAGED, READERS, TOO_LONG
from shared.images.png import header_of_png, without_extras
from shared.images.png_chunks import PNG_SIGNATURE
from shared.images.refusals import not_accepted, refusal
from shared.images.tiff import set_up_tiff, unsupported_tiff
from shared.jobs.models import ImageInfo

# Longest side: the limit of JPEG. No camera or scanner produces a longer one.
MAX_SIDE = 65_535
# Only the first frame is decoded, but the readers of most formats build a table of all frames.
MAX_FRAMES = 5_000
# Limit of reads for one header. Pictures of cameras and editors need a few hundred; each read runs Python code under
# the GIL, which all requests of an API process share.
MOST_READS = 20_000
# Largest TIFF tag that is read with the header, and limit of the EXIF data that are parsed: each value becomes an
# object. This is enough for the offsets of 65,535 strips.
MOST_TAG_BYTES = 256 * 1024


def set_up_pillow() -> None:
    """Set up Pillow and HEIC; call once in every process that opens pictures, before it starts threads."""
    # Load all readers now: Pillow would load most of them at the first picture.
    Image.init()
    # One thread per picture: there is a worker process for every core.
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    set_up_tiff()
    # The service has its own limit (MAX_IMAGE_PIXELS), checked on the header before decoding.
    Image.MAX_IMAGE_PIXELS = None
    # Pillow looks up this class by name, so the replacement applies to Pillow's own readers as well.
    Image.Exif = _Exif  # type: ignore[misc]
    # Warnings about a client's picture do not concern the operator. Filter them for the whole process, because
    # `warnings.catch_warnings` is not thread-safe.
    warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)\.")


class _Exif(Image.Exif):
    """EXIF data; ignored if longer than any camera writes."""

    def load(self, data: bytes) -> None:
        super().load(data if len(data) <= MOST_TAG_BYTES else b"")


class _Header(io.BytesIO):
    """A file for reading the header; raises UnsupportedPicture if the header takes too many reads or too much EXIF."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._is_tiff = data[:2] in (b"II", b"MM")
        self._reads_left = MOST_READS
        self._exif_left = MOST_TAG_BYTES
        self.problem = DAMAGED

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if not self._reads_left:
            self._give_up()
        if self._is_tiff and size and size > MOST_TAG_BYTES:
            # At this error Pillow stops reading tags. Tags are sorted: the required ones come first, the large ones
            # (layers, profiles) last.
            raise OSError("This tag is too long.")
        found = super().read(size)
        if size and len(found) < size:
            self.problem = CUT_OFF
        if found.startswith(b"Exif\0\0"):
            # A JPEG may split its EXIF data into pieces; at each one, Pillow copies all pieces so far.
            self._exif_left -= len(found)
            if self._exif_left < 0:
                self._give_up()
        return found

    def _give_up(self) -> NoReturn:
        self.problem = TOO_LONG
        # No reader of Pillow catches this.
        raise UnsupportedPicture(self.problem)


def open_picture(data: bytes, passing: tuple[type[Exception], ...] = ()) -> Image.Image:
    """Open `data`, as `cleaned` returns it, without decoding its pixels.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format. Errors of the types in `passing`
            propagate instead.
    """
    return _open(io.BytesIO(data), passing)


def cleaned(data: bytes) -> bytes:
    """Return `data`, or a copy without metadata that Pillow misreads or refuses although the pixels are intact.

    Raises:
        UnsupportedPicture: the header of a PNG is cut off, damaged or too long.
    """
    return without_extras(data) if data.startswith(PNG_SIGNATURE) else corrected_bmp(data)


def inspect_picture(data: bytes) -> ImageInfo:
    """Return format, width and height in pixels from the header of `data`.

    Raises:
        UnsupportedPicture: the bytes are not a picture of an accepted format, or the header is too long.
        PictureTooLarge: a side or the number of frames exceeds its limit.
    """
    header = header_of_png(data) if data.startswith(PNG_SIGNATURE) else corrected_bmp(data)
    with _open(_Header(header)) as image:
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


def _open(file: io.BytesIO, passing: tuple[type[Exception], ...] = ()) -> Image.Image:
    try:
        image = Image.open(file, formats=READERS)
        unsupported = unsupported_tiff(image.tag_v2) if isinstance(image, TiffImagePlugin.TiffImageFile) else ""
    except passing:
        raise
    except Exception:  # Pillow's readers raise many kinds of errors on broken headers
        raise UnsupportedPicture(refusal(file, file.problem if isinstance(file, _Header) else DAMAGED)) from None
    if unsupported:
        cut_off = is_cut_off("TIFF", file.getvalue())
        raise UnsupportedPicture(CUT_OFF.format("TIFF") if cut_off else not_accepted(unsupported))
    return image

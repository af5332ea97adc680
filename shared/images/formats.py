"""The picture formats that the service accepts, one line each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureFormat:
    """What Pillow, people, file systems and HTTP call a format, and what its header tells."""

    pillow: str
    """The name of Pillow's reader, which is also what a job's record calls the format."""
    name: str
    suffixes: tuple[str, ...]
    mime_types: tuple[str, ...]
    counts_frames: bool = False
    """Whether the header has the number of frames; of other pictures only the first frame is ever looked at."""
    also: tuple[str, ...] = ()
    """Other names that Pillow gives to pictures of this reader."""


# The readers are tried in this order. One that is not Pillow's own is set up in shared/images/inspect.py. MPO, a JPEG
# with more pictures behind it, is what many phones write as .jpg.
FORMATS = (
    PictureFormat("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), ("image/jpeg",), True, also=("MPO",)),
    PictureFormat("PNG", "PNG", (".png",), ("image/png",), counts_frames=True),
    PictureFormat("BMP", "BMP", (".bmp",), ("image/bmp",)),
    PictureFormat("GIF", "GIF", (".gif",), ("image/gif",)),
    PictureFormat("WEBP", "WebP", (".webp",), ("image/webp",), counts_frames=True),
    PictureFormat("TIFF", "TIFF", (".tif", ".tiff"), ("image/tiff",)),
    PictureFormat("AVIF", "AVIF", (".avif",), ("image/avif",), counts_frames=True),
    PictureFormat("HEIF", "HEIC", (".heic", ".heif"), ("image/heic", "image/heif"), counts_frames=True),
)
READERS = tuple(each.pillow for each in FORMATS)
SUFFIXES = tuple(suffix for each in FORMATS for suffix in each.suffixes)
BY_PILLOW_NAME = {name: each for each in FORMATS for name in (each.pillow, *each.also)}
# For sentences: "JPEG, PNG, … or HEIC".
NAMES = " or ".join((", ".join(each.name for each in FORMATS[:-1]), FORMATS[-1].name))
UNREADABLE = f"This is not a picture that can be read. Send a {NAMES} file."

"""The accepted picture formats, one line each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureFormat:
    """The names of a format in Pillow, messages, file names and HTTP, and properties of its header."""

    pillow: str
    """The name of Pillow's reader; job records contain it."""
    name: str
    suffixes: tuple[str, ...]
    counts_frames: bool = False
    """Whether the header contains the number of frames; the frames of other formats are not counted."""
    also: tuple[str, ...] = ()
    """Other format names that Pillow gives to pictures opened by this reader."""


# The readers are tried in this order. Readers outside Pillow are set up in shared/images/inspect.py. Many phones write
# .jpg files in the format MPO: a JPEG followed by further pictures.
FORMATS = (
    PictureFormat("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), counts_frames=True, also=("MPO",)),
    PictureFormat("PNG", "PNG", (".png", ".apng"), counts_frames=True),
    PictureFormat("BMP", "BMP", (".bmp", ".dib")),
    PictureFormat("GIF", "GIF", (".gif",)),
    PictureFormat("WEBP", "WebP", (".webp",), counts_frames=True),
    PictureFormat("TIFF", "TIFF", (".tif", ".tiff")),
    PictureFormat("AVIF", "AVIF", (".avif", ".avifs"), counts_frames=True),
    PictureFormat("HEIF", "HEIC", (".heic", ".heif", ".hif", ".heics", ".heifs"), counts_frames=True),
)
READERS = tuple(each.pillow for each in FORMATS)
SUFFIXES = tuple(suffix for each in FORMATS for suffix in each.suffixes)
BY_PILLOW_NAME = {name: each for each in FORMATS for name in (each.pillow, *each.also)}
# For messages: "JPEG, PNG, … or HEIC".
NAMES = " or ".join((", ".join(each.name for each in FORMATS[:-1]), FORMATS[-1].name))
UNREADABLE = f"This is not a picture in an accepted format. Send a {NAMES} file."
CUT_OFF = "The {} is cut off. Send the complete file."
DAMAGED = "The header of the {} is damaged. Send another file."
TOO_LONG = "The header of the {} is too long to be read."

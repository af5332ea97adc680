"""Pictures in the forms that Python programs have them in: paths, bytes, open files and Pillow's images."""

import errno
import io
import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

# What Pillow writes into a PNG file without a conversion.
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


class Readable(Protocol):
    """A file that is open for reading in binary mode, such as a BytesIO."""

    def read(self) -> bytes:
        """Return the rest of the file."""


@runtime_checkable
class PillowImage(Protocol):
    """An image of Pillow, which this package does not import."""

    mode: Any

    def convert(self, mode: Any = None) -> Any:
        """Return a copy in another mode."""

    def getexif(self) -> Any:
        """Return the EXIF data, which has the picture's orientation."""

    def save(self, fp: Any, format: Any = None, **options: Any) -> None:
        """Write the picture."""


Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | PillowImage
# A picture that can be read repeatedly.
Content = Path | bytes


def content_of(picture: Picture) -> Content:
    """Return a picture as a path or as bytes; an open file is read from its position to its end.

    A Pillow image is written as PNG, which loses nothing, with its orientation.

    Raises:
        ValueError: `picture` is something else.
        OSError: the file cannot be read.
    """
    if isinstance(picture, str | os.PathLike):
        return Path(picture)
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, PillowImage):
        return _as_png(picture)
    given = picture.read() if hasattr(picture, "read") else None
    if isinstance(given, bytes):
        return given
    raise ValueError(
        "A picture is a path, bytes, a file opened in binary mode or an image of Pillow, "
        f"not {type(picture).__name__!r}."
    )


def opened(content: Content) -> io.BytesIO | io.BufferedReader:
    """Open a picture for reading.

    Raises:
        OSError: the file cannot be read, or is not a regular file: opening a named pipe would block.
    """
    if isinstance(content, bytes):
        return io.BytesIO(content)
    if content.exists() and not content.is_file():
        raise OSError(errno.EINVAL, "This is not a regular file.", str(content))
    return content.open("rb")


def size_of(content: Content) -> int:
    """Return the number of bytes; OSError if the file cannot be read."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _as_png(image: PillowImage) -> bytes:
    exif = image.getexif()
    file = io.BytesIO()
    (image if image.mode in PNG_MODES else image.convert("RGB")).save(file, "PNG", exif=exif, compress_level=1)
    return file.getvalue()

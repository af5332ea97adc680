"""Finds the pictures among files and folders."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# The suffixes of the service's formats (shared/images/formats.py, which this distribution does not have); a test
# compares them.
EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)


def find_pictures(paths: Iterable[str], on_error: Callable[[OSError], None]) -> list[str]:
    """Return each file among `paths`, whatever it is called, and each picture in the folders among them, once.

    A folder is searched with the folders in it, in the order of names. What begins with a dot is left out, and links
    to folders are not followed: no way leads round in a circle. `on_error` hears of folders that cannot be read.
    """
    found: dict[str, str] = {}
    for path in paths:
        for file in _walk(path, on_error) if Path(path).is_dir() else [path]:
            found.setdefault(os.path.abspath(file), file)  # noqa: PTH100 - Path.resolve would follow links
    return list(found.values())


def _walk(folder: str, on_error: Callable[[OSError], None]) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118 - a Path would drop the leading "./"
            # A pipe may be called like a picture, and a link may lead nowhere.
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS and Path(path).is_file():
                yield path

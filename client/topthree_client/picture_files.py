"""Finds pictures in files and folders."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# A copy of the suffixes in shared/images/formats.py, which is not part of this distribution; a test compares both.
EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)


def find_pictures(paths: Iterable[str], on_error: Callable[[OSError], None]) -> list[str]:
    """Return each file among `paths`, with any name, and each picture in the folders among them, without duplicates.

    Folders are searched recursively, sorted by name. Names that start with a dot are skipped, and links to folders
    are not followed, to avoid cycles. `on_error` is called for folders that cannot be read.
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
            # The name may belong to a named pipe or a broken link.
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS and Path(path).is_file():
                yield path

"""Finds pictures in files and folders."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# A copy of the suffixes in shared/images/formats.py, which is not part of this distribution; a test compares both.
EXTENSIONS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
        *(".avif", ".avifs", ".heic", ".heif", ".hif", ".heics", ".heifs"),
    )
)


@dataclass(frozen=True)
class Found:
    """The pictures, and the files in the folders that are skipped because of their names."""

    pictures: Sequence[str]
    skipped: Sequence[str]


def find_pictures(paths: Iterable[str], on_error: Callable[[OSError], None]) -> Found:
    """Find each file among `paths`, with any name, and each picture in the folders among them, without duplicates.

    Folders are searched recursively, sorted by name. Names that start with a dot do not count, and links to folders
    are not followed, to avoid cycles. `on_error` is called for folders that cannot be read, and for links named like
    pictures that lead nowhere.
    """
    pictures: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for path in paths:
        if not Path(path).is_dir():
            pictures.setdefault(_absolute(path), path)
            continue
        for file in _files_in(path, on_error):
            (pictures if _is_named_like_a_picture(file) else skipped).setdefault(_absolute(file), file)
    return Found(list(pictures.values()), [file for name, file in skipped.items() if name not in pictures])


def kinds_of(files: Iterable[str]) -> str:
    """Count the files by extension, the most frequent first: "3 .txt, 1 without an extension"."""
    counts = Counter(Path(file).suffix.lower() or "without an extension" for file in files)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())


def _files_in(folder: str, on_error: Callable[[OSError], None]) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118 - a Path would drop the leading "./"
            if name.startswith("."):
                continue
            # The name may belong to a named pipe or a broken link.
            if Path(path).is_file():
                yield path
            elif Path(path).is_symlink() and not Path(path).exists() and _is_named_like_a_picture(path):
                on_error(FileNotFoundError(errno.ENOENT, "this link leads nowhere", path))


def _is_named_like_a_picture(path: str) -> bool:
    return Path(path).suffix.lower() in EXTENSIONS


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow links

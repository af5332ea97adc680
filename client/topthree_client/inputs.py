"""Reads which pictures a command names: paths, a list of paths, and a picture on standard input."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from topthree_client.arguments import STANDARD_INPUT
from topthree_client.messages import Messages
from topthree_client.picture_files import find_pictures, kinds_of
from topthree_client.usage_error import UsageError

# How many paths the list of batches shows.
MOST_NAMED = 3


@dataclass(frozen=True)
class Inputs:
    """The names of the pictures, the bytes of those that are no files, and how many paths cannot be read.

    `named` is how the user named them, shortened.
    """

    files: Sequence[str]
    contents: Mapping[str, bytes] = field(default_factory=dict)
    unreadable: int = 0
    named: str = ""


def find_inputs(paths: Sequence[str], messages: Messages) -> Inputs:
    """Find the pictures in `paths`; "-" is standard input. Each path that cannot be read is reported.

    Raises:
        UsageError: there is no picture.
    """
    contents = {STANDARD_INPUT: _standard_input()} if STANDARD_INPUT in paths else {}
    errors: list[str] = []
    existing = []
    for path in paths:
        if path == STANDARD_INPUT:
            continue
        if os.path.exists(path):  # noqa: PTH110 - Path("") is the current folder
            existing.append(path)
        else:
            errors.append(f"{path or repr(path)}: there is no such file or folder")
    found = find_pictures(existing, lambda error: errors.append(f"{error.filename}: {error.strerror}"))
    for error in errors:
        messages.error(error)
    if found.skipped:
        messages.note(
            f"skipped files without the extension of a picture: {kinds_of(found.skipped)}; "
            "to send one, give its own path"
        )
    if not found.pictures and not contents:
        raise UsageError("Nothing was sent." if errors else "There are no pictures in these folders.")
    named = " ".join(paths[:MOST_NAMED]) + (" …" if len(paths) > MOST_NAMED else "")
    return Inputs([*contents, *found.pictures], contents, len(errors), named)


def read_list(source: str, null: bool) -> list[str]:
    """Return the paths in a file, one a line or each ended by a NUL; "-" is standard input.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        data = _standard_input() if source == STANDARD_INPUT else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}. Nothing was sent.") from None
    names = data.split(b"\0") if null else (line.removesuffix(b"\r") for line in data.split(b"\n"))
    # In a list, "-" is a file of this name.
    return [f"./{STANDARD_INPUT}" if name == b"-" else os.fsdecode(name) for name in names if name]


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise UsageError("Standard input is closed. Nothing was sent.")
    return sys.stdin.buffer.read()

"""Progress messages for the user: short lines on stderr."""

import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BOX_COLUMNS = 78


def say(text: str) -> None:
    """Print one line to stderr, unbuffered."""
    print(f"prepare: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a long step, and report its duration when it is done."""
    began = time.monotonic()
    say(f"{text} ...")
    yield
    say(f"{text}: {time.monotonic() - began:.1f} s")


def notice(title: str, lines: list[str]) -> None:
    """Print a box to stderr, so that the notice stands out."""
    room = _BOX_COLUMNS - 6
    paragraphs = [textwrap.wrap(line, room, subsequent_indent="  ") or [""] for line in [title, "", *lines]]
    rule = "#" * _BOX_COLUMNS
    body = "\n".join(f"## {part:<{room}} ##" for paragraph in paragraphs for part in paragraph)
    print(f"\n{rule}\n{body}\n{rule}\n", file=sys.stderr, flush=True)

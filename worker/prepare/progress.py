"""Progress messages for the user: short lines on stderr."""

import os
import sys
import tempfile
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


@contextmanager
def native_messages_held_back() -> Iterator[None]:
    """Capture what C++ libraries write to file descriptor 2; show it only if the block fails.

    TensorFlow writes messages there, such as missing GPUs, before its log level applies. For debugging, set
    TF_CPP_MIN_LOG_LEVEL: then nothing is captured.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)

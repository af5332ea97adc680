"""Standard output of `make run`: writing to it never fails and never blocks."""

import asyncio
import logging
import os
import sys
import threading
from collections import deque
from contextlib import suppress

STDOUT, STDERR = 1, 2
# Size of the buffer while standard output blocks (a terminal after Ctrl-S, a pager); further output is dropped.
MOST_WAITING_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024


def open_standard_files() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed, so that no other file gets their numbers."""
    for descriptor, other in ((0, None), (STDOUT, STDERR), (STDERR, STDOUT)):
        if _is_open(descriptor):
            continue
        source = other if other is not None and _is_open(other) else os.open(os.devnull, os.O_RDWR)
        if source != descriptor:
            os.dup2(source, descriptor)
        os.set_inheritable(descriptor, True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def say(text: str) -> None:
    """Print a message to standard error or, if that fails, to standard output."""
    write(encode(text), STDERR, STDOUT)


def encode(text: str) -> bytes:
    """Return the text as a line in the terminal's encoding; unsupported characters are replaced."""
    return f"{text}\n".encode(getattr(sys.stdout, "encoding", None) or "utf-8", "replace")


def write(data: bytes, *descriptors: int) -> None:
    """Write to the first descriptor that works; if none does, the data is dropped."""
    for descriptor in descriptors:
        with suppress(OSError):
            while data:
                data = data[os.write(descriptor, data) :]
            return


class Output:
    """Copies the processes' output from a pipe to standard output or, if that fails, to standard error.

    A closed, full or blocked standard output does not affect the processes. They get a pipe instead of the original
    descriptor because it may be a socket or another user's file, which cannot be opened again.
    """

    def __init__(self) -> None:
        self._source, self.descriptor = os.pipe()
        os.set_blocking(self._source, False)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="output", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to copy; output is read while `loop` runs."""
        self._writer.start()
        loop.add_reader(self._source, self._read)

    def say(self, text: str) -> None:
        """Print a message among the lines of the processes."""
        self._put(encode(text))

    def log_handler(self) -> logging.Handler:
        """Return a handler for log lines of this process, which appear among those of the others."""
        return _OutputHandler(self)

    def close(self, seconds: float) -> None:
        """Write the remaining output, for at most `seconds`."""
        while self._read():
            pass
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join(seconds)

    def _read(self) -> bool:
        try:
            data = os.read(self._source, READ_BYTES)
        except BlockingIOError:
            return False
        self._put(data)
        return bool(data)

    def _put(self, data: bytes) -> None:
        with self._changed:
            if self._waiting_bytes + len(data) <= MOST_WAITING_BYTES:
                self._waiting.append(data)
                self._waiting_bytes += len(data)
            self._changed.notify()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                data = self._waiting.popleft()
                self._waiting_bytes -= len(data)
            write(data, STDOUT, STDERR)


class _OutputHandler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.say(self.format(record))

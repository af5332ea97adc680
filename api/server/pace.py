"""The time limit for each block of bytes that a client sends or receives."""

import time
from typing import Any

from gevent import sleep

# A client that takes longer for a block is too slow. This is 2 KiB per second, for bodies of any size.
BLOCK_BYTES = 64 * 1024
BLOCK_SECONDS = 30.0


def yield_to_others() -> None:
    """Let gevent serve other connections; `sleep(0)` would not check for new data."""
    sleep(1e-6)


class Pace:
    """Receives and sends on a connection; TimeoutError once a block has taken longer than BLOCK_SECONDS."""

    def __init__(self, connection: Any) -> None:
        """`connection` is a connected socket of gevent."""
        self._socket = connection
        self._left = BLOCK_BYTES
        self._deadline = 0.0

    def begin(self) -> None:
        """Start the time of a new block."""
        self._left = BLOCK_BYTES
        self._deadline = time.monotonic() + BLOCK_SECONDS

    def receive(self, most: int = BLOCK_BYTES) -> bytes:
        """Return the next bytes, at most `most`; b"" after the last ones."""
        self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
        data: bytes = self._socket.recv(most)
        self._left -= len(data)
        if self._left <= 0:
            self.begin()
            yield_to_others()
        return data

    def send(self, *parts: bytes) -> None:
        """Send all parts, small ones in one system call."""
        if sum(map(len, parts)) <= BLOCK_BYTES:
            self._send(b"".join(parts))
        else:
            for part in parts:
                self._send(part)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), BLOCK_BYTES):
            self._socket.settimeout(BLOCK_SECONDS)
            self._socket.sendall(view[start : start + BLOCK_BYTES])

"""Messages between a worker and its decoders over a socket: kind, length, bytes."""

import socket
import struct
from enum import IntEnum

from shared.awake_timer import STEP_SECONDS, AwakeTimer

_HEADER = struct.Struct("!BI")
_LEAST_SECONDS = 0.001


class Kind(IntEnum):
    """Kind of a message."""

    READY = 0
    PICTURE = 1
    """To the decoder: the file content of a picture."""
    PIXELS = 2
    """From the decoder: uint8 [height, width, 3]. The kinds below are errors with a message."""
    UNDECODABLE = 3
    UNSUPPORTED = 4
    NO_MEMORY = 5
    FAILED = 6


class MessageChannel:
    """One end of the connection; `timer` is the time limit for a message, None for no limit."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, kind: Kind, data: bytes | memoryview, timer: AwakeTimer | None = None) -> None:
        """Send a message; ConnectionError if the other end is gone, TimeoutError if time runs out."""
        for part in (_HEADER.pack(kind, len(data)), data):
            rest = memoryview(part)
            while rest:
                self._limit(timer)
                try:
                    rest = rest[self._socket.send(rest) :]
                except TimeoutError:
                    _look(timer)

    def receive(self, timer: AwakeTimer | None = None) -> tuple[Kind, bytearray]:
        """Return the next message; ConnectionError if the other end is gone, TimeoutError if time runs out."""
        kind, length = _HEADER.unpack(self._read(_HEADER.size, timer))
        return Kind(kind), self._read(length, timer)

    def close(self) -> None:
        """Close the connection; the other end reads the end of the stream."""
        self._socket.close()

    def _read(self, count: int, timer: AwakeTimer | None) -> bytearray:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._limit(timer)
            try:
                got = self._socket.recv_into(rest)
            except TimeoutError:
                _look(timer)
                continue
            if not got:
                raise ConnectionResetError("The other end is gone.")
            rest = rest[got:]
        return data

    def _limit(self, timer: AwakeTimer | None) -> None:
        # Wait in steps: an AwakeTimer must be read regularly. A timeout of 0 would make the socket non-blocking.
        self._socket.settimeout(None if timer is None else min(timer.left(), STEP_SECONDS) or _LEAST_SECONDS)


def _look(timer: AwakeTimer | None) -> None:
    if timer is None or not timer.left():
        raise TimeoutError("The other end takes too long.")

"""Messages between a worker and its decoders over a socket: a kind, a length, the bytes."""

import socket
import struct
import time
from enum import IntEnum

_HEADER = struct.Struct("!BI")
# A time-out of 0 would mean not to wait at all.
_LEAST_SECONDS = 0.001


class Kind(IntEnum):
    """What a message is."""

    READY = 0
    PICTURE = 1
    """To the decoder: the bytes of a picture."""
    PIXELS = 2
    """From the decoder: uint8 [height, width, 3]. The others are errors with a sentence."""
    UNDECODABLE = 3
    UNSUPPORTED = 4
    NO_MEMORY = 5
    FAILED = 6


class Link:
    """One end of the connection; a deadline is a time of `time.monotonic`, None for no limit."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, kind: Kind, data: bytes | memoryview, deadline: float | None = None) -> None:
        """Send a message; ConnectionError if nobody takes it, TimeoutError after the deadline."""
        for part in (_HEADER.pack(kind, len(data)), data):
            self._limit(deadline)
            self._socket.sendall(part)

    def receive(self, deadline: float | None = None) -> tuple[Kind, bytearray]:
        """Return the next message; ConnectionError if the other end is gone, TimeoutError after the deadline."""
        kind, length = _HEADER.unpack(self._read(_HEADER.size, deadline))
        return Kind(kind), self._read(length, deadline)

    def close(self) -> None:
        """Tell the other end that nothing more comes."""
        self._socket.close()

    def _read(self, count: int, deadline: float | None) -> bytearray:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._limit(deadline)
            got = self._socket.recv_into(rest)
            if not got:
                raise ConnectionResetError("The other end is gone.")
            rest = rest[got:]
        return data

    def _limit(self, deadline: float | None) -> None:
        self._socket.settimeout(None if deadline is None else max(_LEAST_SECONDS, deadline - time.monotonic()))

"""Which children of a worker are decoding a picture, told to their parent through memory that they share."""

import mmap
import os
import struct
import time
from types import TracebackType

from billiard import current_process

from worker.cpu_time import cpu_seconds

# The delivery that the child's shift began with, its process, and what CPU time that had had when it began to decode.
_NOTE = struct.Struct("32sid")


class Decoding:
    """Made by the parent before it forks. In a child a `with` block around decoding a picture is noted."""

    def __init__(self, children: int) -> None:
        self._children = children
        self._notes = mmap.mmap(-1, _NOTE.size * children)
        self._delivered = b""

    def deliver(self, delivered_id: str) -> None:
        """Note, in the child, with which delivery its shift begins."""
        self._delivered = delivered_id.encode()

    def __enter__(self) -> None:
        _NOTE.pack_into(self._notes, self._place(), self._delivered, os.getpid(), time.process_time())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _NOTE.pack_into(self._notes, self._place(), b"", 0, 0)

    def seconds(self, delivered_id: str) -> float:
        """Return the CPU seconds that a shift has spent on the picture it is decoding, 0 if it is at something else."""
        for delivered, pid, began in _NOTE.iter_unpack(self._notes[:]):
            if pid and delivered.rstrip(b"\0") == delivered_id.encode():
                return max(0.0, cpu_seconds(pid) - float(began))
        return 0

    def _place(self) -> int:
        # The place of a child in its pool, which the one that replaces it gets.
        place: int = current_process().index  # type: ignore[attr-defined]  # only pools have it
        return place * _NOTE.size

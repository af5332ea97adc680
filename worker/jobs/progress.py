"""Which job each child of a worker is at, told to their parent through memory that they share."""

import mmap
import os
import struct
import time
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Protocol

from billiard import current_process

from worker.runtime.cpu_time import cpu_seconds

# The task with which the child began, the job it is at, its stage, its process, its CPU time as it began to decode, and
# when this was noted (seconds of the machine's monotonic clock).
_NOTE = struct.Struct("64s64sBidd")


class Stage(IntEnum):
    """What a child does with its job."""

    IDLE = 0
    """It has none: jobs that it may hold by Redis' account were claimed and not run."""
    RUNNING = 1
    DECODING = 2
    ENDING = 3
    """It has run, and its end is being written."""


class JobProgress(Protocol):
    """What is told of the jobs that a process or thread runs."""

    def run(self, job_id: str) -> None:
        """The job is being run."""

    def end(self) -> None:
        """It has been run, and its end is being written."""

    def idle(self) -> None:
        """Its end was written."""


class ChildrenProgress(Protocol):
    """What is known of a worker's children."""

    def of(self, task_id: str) -> "ChildProgress | None":
        """Return what the child is at that began with this task; None if none did."""


class NoProgress:
    """For threads, which cannot be killed alone: what they were at is known where they fail."""

    def run(self, job_id: str) -> None:
        pass

    def end(self) -> None:
        pass

    def idle(self) -> None:
        pass


@dataclass(frozen=True)
class ChildProgress:
    """What a child was at: its job, "" for none, and for how many CPU seconds it has been decoding it."""

    job_id: str
    stage: Stage
    decode_seconds: float


class SharedProgress:
    """Made by the parent before it forks. In a child a `with` block around decoding a picture is noted."""

    def __init__(self, children: int) -> None:
        self._notes = mmap.mmap(-1, _NOTE.size * children)
        self._task_id = b""
        self._job_id = b""

    def begin(self, task_id: str) -> None:
        """Note, in the child, which task was delivered to it."""
        self._task_id = task_id.encode()
        self.idle()

    def run(self, job_id: str) -> None:
        self._job_id = job_id.encode()
        self._write(Stage.RUNNING)

    def end(self) -> None:
        self._write(Stage.ENDING)

    def idle(self) -> None:
        self._job_id = b""
        self._write(Stage.IDLE)

    def __enter__(self) -> None:
        self._write(Stage.DECODING, time.process_time())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(Stage.RUNNING)

    def of(self, task_id: str) -> ChildProgress | None:
        notes = [note for note in _NOTE.iter_unpack(self._notes[:]) if note[0].rstrip(b"\0") == task_id.encode()]
        if not notes:
            return None
        # The same task may have been delivered to several children, one after the other.
        _, job_id, stage, pid, began, _ = max(notes, key=lambda note: float(note[-1]))
        seconds = max(0.0, cpu_seconds(pid) - float(began)) if stage == Stage.DECODING else 0.0
        return ChildProgress(job_id.rstrip(b"\0").decode(), Stage(stage), seconds)

    def _write(self, stage: Stage, cpu_began: float = 0) -> None:
        # The place of a child in its pool, which the one that replaces it gets.
        index: int = current_process().index  # type: ignore[attr-defined]  # only pools have it
        _NOTE.pack_into(
            self._notes,
            index * _NOTE.size,
            self._task_id,
            self._job_id,
            stage,
            os.getpid(),
            cpu_began,
            time.monotonic(),
        )

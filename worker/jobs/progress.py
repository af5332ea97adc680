"""Current job of each child, shared with the parent through an mmap."""

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

# One entry per child: tag of its delivery, id of the current job, stage, process id, CPU seconds of the process when it
# began to decode, and the time of the entry (seconds of the monotonic clock, which all processes of a machine share).
_NOTE = struct.Struct("64s64sBidd")


class Stage(IntEnum):
    """The stage of a child's current job."""

    IDLE = 0
    """No job. Jobs that Redis lists for this child were claimed but not started."""
    RUNNING = 1
    DECODING = 2
    ENDING = 3
    """The job has been run, and its outcome is being written to Redis."""


class JobProgress(Protocol):
    """Records which job a process or thread runs."""

    def run(self, job_id: str) -> None:
        """Record that the job is being run."""

    def end(self) -> None:
        """Record that the job has been run and its outcome is being written."""

    def idle(self) -> None:
        """Record that the outcome has been written: there is no current job."""


class ChildrenProgress(Protocol):
    """Reads what a worker's children are running."""

    def of(self, delivery_tag: str) -> "ChildProgress | None":
        """Return the progress of the child that got this delivery; None if no child did."""


class NoProgress:
    """Records nothing. For threads: they cannot be killed one by one, and the code that fails knows its job."""

    def run(self, job_id: str) -> None:
        pass

    def end(self) -> None:
        pass

    def idle(self) -> None:
        pass


@dataclass(frozen=True)
class ChildProgress:
    """What a child is running: job id ("" for none), stage, and CPU seconds spent so far on decoding its picture."""

    job_id: str
    stage: Stage
    decode_seconds: float


class SharedProgress:
    """Create it in the parent before the fork. In a child, a `with` block around decoding records stage DECODING."""

    def __init__(self, children: int) -> None:
        self._notes = mmap.mmap(-1, _NOTE.size * children)
        self._delivery_tag = b""
        self._job_id = b""

    def begin(self, delivery_tag: str) -> None:
        """Record, in the child, the delivery that it got."""
        self._delivery_tag = delivery_tag.encode()
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

    def of(self, delivery_tag: str) -> ChildProgress | None:
        notes = [note for note in _NOTE.iter_unpack(self._notes[:]) if note[0].rstrip(b"\0") == delivery_tag.encode()]
        if not notes:
            return None
        # Celery gives a delivery to another child if the first one exits at once: take the latest entry.
        _, job_id, stage, pid, began, _ = max(notes, key=lambda note: float(note[-1]))
        seconds = max(0.0, cpu_seconds(pid) - float(began)) if stage == Stage.DECODING else 0.0
        return ChildProgress(job_id.rstrip(b"\0").decode(), Stage(stage), seconds)

    def _write(self, stage: Stage, cpu_began: float = 0) -> None:
        # The child's index in its pool; a replacement gets the same index.
        index: int = current_process().index  # type: ignore[attr-defined]  # set by pools only
        _NOTE.pack_into(
            self._notes,
            index * _NOTE.size,
            self._delivery_tag,
            self._job_id,
            stage,
            os.getpid(),
            cpu_began,
            time.monotonic(),
        )

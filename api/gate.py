"""Keeps uploads out while the queue is full, before their bodies are read."""

import time

from shared.backlog import Backlog, BacklogReader
from shared.errors import QueueFull
from shared.job_limits import JobLimits

# So long a full queue is taken to stay full without asking Redis again.
CLOSED_SECONDS = 0.25
# A guess may be this old: the check that counts comes with the record.
BACKLOG_SECONDS = 0.05
# Of a Redis with a `maxmemory` this share is left to the workers: a full one could not even hand out its messages.
FREE_MEMORY_SHARE = 0.1
MEMORY_SECONDS = 0.5


class Gate:
    """Closes when the queue is found full; a cheap guard before the atomic check that comes with the record."""

    def __init__(self, reader: BacklogReader, limits: JobLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._closed_until = 0.0
        self._refusal: QueueFull | None = None
        self._backlog: Backlog | None = None
        self._backlog_read_at = 0.0
        self._memory_is_short = False
        self._memory_read_at = -MEMORY_SECONDS

    def refusal(self) -> QueueFull | None:
        """Return what to answer while the gate is closed; asks nobody, so that it may be called anywhere."""
        return self._refusal if time.monotonic() < self._closed_until else None

    def _recent_backlog(self) -> Backlog:
        now = time.monotonic()
        if self._backlog is None or now > self._backlog_read_at + BACKLOG_SECONDS:
            self._backlog, self._backlog_read_at = self._reader.read(), now
        return self._backlog

    def _is_full(self, backlog: Backlog) -> bool:
        now = time.monotonic()
        if now > self._memory_read_at + MEMORY_SECONDS:
            self._memory_is_short = self._reader.free_memory_share() < FREE_MEMORY_SHARE
            self._memory_read_at = now
        return (
            backlog.open_jobs >= self._limits.max_open_jobs
            or backlog.stored_bytes >= self._limits.max_stored_bytes
            or self._memory_is_short
        )

    def check(self, wait_seconds: float) -> None:
        """Let the request in that wants to wait so long for its answer, 0 for one that does not wait.

        Raises:
            QueueFull: nothing is admitted now, or the answer would not come in time.
        """
        backlog = self._recent_backlog()
        if self._is_full(backlog):
            self._refusal = backlog.full()
            self._closed_until = time.monotonic() + CLOSED_SECONDS
            raise self._refusal
        needed_seconds = backlog.seconds_for(backlog.open_jobs)
        if wait_seconds and backlog.open_jobs and needed_seconds > wait_seconds:
            raise QueueFull(
                f"The answer would take about {needed_seconds} s. Try again later, or send `Prefer: respond-async`.",
                retry_after_seconds=max(1, needed_seconds - int(wait_seconds)),
            )

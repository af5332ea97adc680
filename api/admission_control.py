"""Refuses uploads that cannot be accepted, before their bodies are read."""

import logging
import math
import time

from shared.errors import QueueFull, ServerUnfit, TryLater
from shared.jobs.backlog import Backlog, BacklogReader
from shared.jobs.limits import JobLimits
from shared.redis_server import RedisServer, ServerState

log = logging.getLogger(__name__)

# A refusal is repeated for this long without asking Redis again.
CLOSED_SECONDS = 0.25
# A guess may be this old: the check that counts comes with the record.
BACKLOG_SECONDS = 0.05
# Of a Redis with a `maxmemory` this share is left to the workers: a full one could not even hand out its messages.
FREE_MEMORY_SHARE = 0.1
SERVER_SECONDS = 0.5


class AdmissionControl:
    """Closes when nothing can be accepted; a cheap guard before the atomic check that comes with the record."""

    def __init__(self, reader: BacklogReader, server: RedisServer, limits: JobLimits) -> None:
        self._reader = reader
        self._server = server
        self._limits = limits
        self._closed_until = 0.0
        self._refusal: TryLater | None = None
        self._backlog: Backlog | None = None
        self._backlog_read_at = 0.0
        self._state: ServerState | None = None
        self._state_read_at = 0.0

    def refusal(self) -> TryLater | None:
        """Return what to answer while the gate is closed; does no I/O."""
        return self._refusal if time.monotonic() < self._closed_until else None

    def check_server(self) -> None:
        """Let every upload in that a server may take, also a retry.

        Raises:
            ServerUnfit: Redis cannot run jobs, or may drop accepted ones.
        """
        state = self._recent_state()
        if state.flaw:
            raise self._close(ServerUnfit(f"{state.flaw} No pictures are accepted until then."))

    def check(self, wait_seconds: float) -> None:
        """Let the request in that wants to wait so long for its answer, 0 for one that does not wait.

        Raises:
            ServerUnfit: as `check_server`.
            QueueFull: nothing is admitted now, or the answer would not come in time.
        """
        self.check_server()
        backlog = self._recent_backlog()
        full = backlog.full(self._limits) or self._short_of_memory(backlog)
        if full:
            raise self._close(full)
        needed_seconds = backlog.drain_seconds(backlog.open_jobs)
        if wait_seconds and needed_seconds > wait_seconds:
            raise QueueFull(
                f"The answer would take about {math.ceil(needed_seconds)} s. Try again later, or send "
                "`Prefer: respond-async`.",
                retry_after_seconds=max(1, round(needed_seconds - wait_seconds)),
            )

    def _close(self, refusal: TryLater) -> TryLater:
        self._refusal = refusal
        self._closed_until = time.monotonic() + CLOSED_SECONDS
        return refusal

    def _short_of_memory(self, backlog: Backlog) -> QueueFull | None:
        if self._recent_state().free_memory_share >= FREE_MEMORY_SHARE:
            return None
        return QueueFull("Redis is short of memory. Try again later.", backlog.seconds_for(backlog.open_jobs))

    def _recent_backlog(self) -> Backlog:
        now = time.monotonic()
        if self._backlog is None or now > self._backlog_read_at + BACKLOG_SECONDS:
            self._backlog, self._backlog_read_at = self._reader.read(), now
        return self._backlog

    def _recent_state(self) -> ServerState:
        now = time.monotonic()
        if self._state is None or now > self._state_read_at + SERVER_SECONDS:
            before, self._state, self._state_read_at = self._state, self._server.state(), now
            if self._state.flaw and (before is None or before.flaw != self._state.flaw):
                log.error("No uploads are accepted: %s", self._state.flaw)
        return self._state

"""Refuses uploads that cannot be accepted, before their bodies are read."""

import logging
import math
import time

from api.recent import Recent
from shared.errors import QueueFull, ServerUnfit, TryLater
from shared.jobs.backlog import Backlog, BacklogReader
from shared.jobs.limits import JobLimits
from shared.redis_server import RedisServer, ServerState

log = logging.getLogger(__name__)

# How long a refusal is repeated without another Redis read.
CLOSED_SECONDS = 0.25
# Maximum age of the cached backlog. It may be stale: the atomic check when the job is stored decides.
BACKLOG_SECONDS = 0.25
# Share of Redis' `maxmemory` reserved for the workers: a full Redis cannot even deliver its messages.
FREE_MEMORY_SHARE = 0.1
SERVER_SECONDS = 1.0


class AdmissionControl:
    """Closes when no job can be accepted; a cheap guard before the atomic check when the job is stored."""

    def __init__(self, reader: BacklogReader, server: RedisServer, limits: JobLimits) -> None:
        self._server = server
        self._limits = limits
        self._closed_until = 0.0
        self._refusal: TryLater | None = None
        self._backlog = Recent(reader.read, BACKLOG_SECONDS)
        self._state = Recent(self._read_state, SERVER_SECONDS)
        self._reported = ""

    def refusal(self) -> TryLater | None:
        """Return the current refusal, None while open; does no I/O."""
        return self._refusal if time.monotonic() < self._closed_until else None

    def check_server(self) -> None:
        """Check the server only: enough for a retry, which joins its first job even when the queue is full.

        Raises:
            ServerUnfit: Redis cannot run jobs, or may drop accepted ones.
        """
        state = self._state.get()
        if state.flaw:
            raise self._close(ServerUnfit(f"{state.flaw} No pictures are accepted until then."))

    def check(self, wait_seconds: float) -> None:
        """Check whether a request that waits `wait_seconds` (0 for no wait) can be accepted.

        Raises:
            ServerUnfit: as `check_server`.
            QueueFull: no job is admitted now, or the job would not finish in time.
        """
        self.check_server()
        backlog = self._backlog.get()
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
        if self._state.get().free_memory_share >= FREE_MEMORY_SHARE:
            return None
        return QueueFull("Redis is short of memory. Try again later.", backlog.seconds_for(backlog.open_jobs))

    def _read_state(self) -> ServerState:
        """Read the state of the server, and log a new flaw once."""
        state = self._server.state()
        if state.flaw and state.flaw != self._reported:
            log.error("No uploads are accepted: %s", state.flaw)
        self._reported = state.flaw
        return state

"""What is open: how much of it, since when, and how fast it drains."""

import time
from dataclasses import dataclass
from typing import cast

import redis

from shared.errors import QueueFull
from shared.job_keys import BYTES_KEY, DRAIN_KEY, FAILED_KEY, LEASES_KEY, OPEN_KEY
from shared.job_limits import JobLimits
from shared.queue import Queue

# Until a drain rate was seen: about what one core does with a picture of 512 x 512.
FIRST_INTERVAL_MS = 20.0


@dataclass(frozen=True)
class Backlog:
    """Jobs by how they are, the age of the oldest open one, the bytes of their pictures, the time between two ends."""

    open_jobs: int
    running: int
    failed: int
    oldest_seconds: float
    stored_bytes: int
    interval_ms: float

    def seconds_for(self, jobs: int) -> int:
        """Estimate when `jobs` more have ended, in whole seconds of at least 1, at most an hour."""
        return min(3600, max(1, round(jobs * self.interval_ms / 1000)))

    def full(self) -> QueueFull:
        """Return the error that tells a client when to come back."""
        return QueueFull(
            f"The queue is full ({self.open_jobs} jobs are open). Try again later.", self.seconds_for(self.open_jobs)
        )


class BacklogReader:
    """Reads the backlog from the job records."""

    def __init__(self, client: redis.Redis, queue: Queue, limits: JobLimits) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue
        self._limits = limits

    def read(self) -> Backlog:
        """Return the backlog as it is now, in one round trip."""
        # The clock of this process will do for how long ago "failed of late" is.
        oldest_failure_ms = (time.time() - self._limits.result_ttl_seconds) * 1000
        # In one step: else more could run than are open.
        with self._redis.pipeline() as pipe:
            pipe.time()
            pipe.zcard(self._queue.key(OPEN_KEY))
            pipe.zcard(self._queue.key(LEASES_KEY))
            pipe.zcount(self._queue.key(FAILED_KEY), oldest_failure_ms, "+inf")
            pipe.zrange(self._queue.key(OPEN_KEY), 0, 0, withscores=True)
            pipe.get(self._queue.key(BYTES_KEY))
            pipe.hget(self._queue.key(DRAIN_KEY), "interval_ms")
            (seconds, microseconds), open_jobs, running, failed, oldest, stored_bytes, interval_ms = pipe.execute()
        now = seconds + microseconds / 1_000_000
        return Backlog(
            open_jobs=open_jobs,
            running=running,
            failed=failed,
            oldest_seconds=max(0.0, now - oldest[0][1] / 1000) if oldest else 0.0,
            stored_bytes=int(stored_bytes or 0),
            interval_ms=float(interval_ms or FIRST_INTERVAL_MS),
        )

    def position(self, job_id: str) -> int:
        """Return how many queued jobs come up to and including this one, at least 1."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrank(self._queue.key(OPEN_KEY), job_id)
            pipe.zcard(self._queue.key(LEASES_KEY))
            rank, running = pipe.execute()
        return max(1, (rank or 0) + 1 - int(running))

    def free_memory_share(self) -> float:
        """Return which share of Redis' `maxmemory` is free, 0 to 1; 1 when it has none."""
        memory = cast(dict[str, int], self._redis.info("memory"))
        most = memory.get("maxmemory", 0)
        return max(0.0, 1 - memory["used_memory"] / most) if most else 1.0

"""Queue depth, age of the oldest job, drain rate, running jobs by worker."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import redis

from shared.errors import PictureTooLarge, QueueFull
from shared.jobs.limits import JobLimits
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import BYTES_KEY, DRAIN_KEY, FAILED_KEY, JOB_PREFIX, LEASES_KEY, OPEN_KEY
from shared.settings import MEBIBYTE

# Before a drain rate is known: about the time of one core for a picture of 512 x 512.
FIRST_INTERVAL_MS = 20.0
# finish.lua writes no longer interval. A longer one comes from a clock change or an older version.
MAX_INTERVAL_MS = 10_000
# An old drain rate is unreliable: it decays towards FIRST_INTERVAL_MS with this half-life.
HALF_LIFE_SECONDS = 30.0
LONGEST_SECONDS = 3600
# Their records are read one by one.
MOST_RUNNING = 1000


@dataclass(frozen=True)
class Backlog:
    """Number of jobs by state, age of the oldest open job, bytes of stored pictures, time between two job ends.

    `oldest_id` is "" if no job is open; `now_ms` is Redis' time.
    """

    open_jobs: int
    running: int
    failed: int
    oldest_seconds: float
    stored_bytes: int
    interval_ms: float
    oldest_id: str = ""
    now_ms: int = 0

    def drain_seconds(self, jobs: int) -> float:
        """Estimate the seconds until `jobs` more jobs have ended, at most an hour."""
        return min(LONGEST_SECONDS, jobs * self.interval_ms / 1000)

    def seconds_for(self, jobs: int) -> int:
        """Return the same estimate in whole seconds, at least 1, for `Retry-After`."""
        return max(1, round(self.drain_seconds(jobs)))

    def refusal(self, limits: JobLimits, sizes: Sequence[int]) -> QueueFull | PictureTooLarge:
        """Return the error for pictures of these sizes in bytes that were just refused, all together.

        QueueFull says when to try again; PictureTooLarge, that they are more than fit into an empty queue.
        """
        if len(sizes) > limits.max_open_jobs or sum(sizes) > limits.max_stored_bytes:
            return PictureTooLarge(_never_fits(limits, sizes))
        if full := self.full(limits, sum(sizes)):
            return full
        if len(sizes) == 1:
            return QueueFull("The queue was full a moment ago. Try again.", 1)
        return QueueFull(
            f"The queue has no room for all {len(sizes)} pictures: {self.open_jobs} jobs are open; the limit is "
            f"{limits.max_open_jobs}. None was accepted. Try again later, or send fewer at once.",
            self.seconds_for(len(sizes)),
        )

    def full(self, limits: JobLimits, picture_bytes: int = 1) -> QueueFull | None:
        """Return the error for a picture that would be refused now, None if it would be admitted."""
        if self.open_jobs >= limits.max_open_jobs:
            reason = f"{self.open_jobs} jobs are open; the limit is {limits.max_open_jobs}"
        elif self.stored_bytes + picture_bytes > limits.max_stored_bytes:
            sizes = (self.stored_bytes + picture_bytes, limits.max_stored_bytes)
            taken, most = (f"{size / MEBIBYTE:,.1f} MiB" for size in sizes)
            reason = f"with this one, the pictures of open jobs take {taken}; the limit is {most}"
        else:
            return None
        return QueueFull(f"The queue is full: {reason}. Try again later.", self.seconds_for(self.open_jobs))


class BacklogReader:
    """Reads the backlog from the job records."""

    def __init__(self, client: redis.Redis, queue: Queue, limits: JobLimits) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue
        self._limits = limits

    def read(self) -> Backlog:
        """Return the current backlog, in one round trip."""
        # This process' clock is good enough for the time window of recent failures.
        oldest_failure_ms = (time.time() - self._limits.result_ttl_seconds) * 1000
        # In one transaction: otherwise more jobs could be running than open.
        with self._redis.pipeline() as pipe:
            pipe.time()
            pipe.zcard(self._queue.key(OPEN_KEY))
            pipe.zcard(self._queue.key(LEASES_KEY))
            pipe.zcount(self._queue.key(FAILED_KEY), oldest_failure_ms, "+inf")
            pipe.zrange(self._queue.key(OPEN_KEY), 0, 0, withscores=True)
            pipe.get(self._queue.key(BYTES_KEY))
            pipe.hmget(self._queue.key(DRAIN_KEY), "interval_ms", "finished_ms")
            (seconds, microseconds), open_jobs, running, failed, oldest, stored_bytes, drain = pipe.execute()
        now = seconds + microseconds / 1_000_000
        return Backlog(
            open_jobs=open_jobs,
            running=running,
            failed=failed,
            oldest_seconds=max(0.0, now - oldest[0][1] / 1000) if oldest else 0.0,
            stored_bytes=int(stored_bytes or 0),
            interval_ms=_interval_ms(now, *drain),
            oldest_id=oldest[0][0] if oldest else "",
            now_ms=int(now * 1000),
        )

    def running_by_worker(self) -> Mapping[str, int] | None:
        """Return how many jobs each worker runs now, by its name; None if more than MOST_RUNNING jobs are running."""
        ids = cast(list[str], self._redis.zrange(self._queue.key(LEASES_KEY), 0, MOST_RUNNING))
        if len(ids) > MOST_RUNNING:
            return None
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(self._queue.key(JOB_PREFIX + job_id), "worker")
            return Counter(filter(None, pipe.execute()))

    def position(self, job_id: str) -> int:
        """Return the position of the job in the queue, at least 1."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrank(self._queue.key(OPEN_KEY), job_id)
            pipe.zcard(self._queue.key(LEASES_KEY))
            rank, running = pipe.execute()
        return max(1, (rank or 0) + 1 - int(running))


def _never_fits(limits: JobLimits, sizes: Sequence[int]) -> str:
    most = f"{limits.max_stored_bytes / MEBIBYTE:,.2f} MiB"
    if len(sizes) == 1:
        return (
            f"This picture can never be accepted: it has {sizes[0] / MEBIBYTE:,.2f} MiB; the service stores at most "
            f"{most} of pictures at a time. Send a smaller one."
        )
    return (
        f"These pictures can never be accepted at once: the service takes {limits.max_open_jobs} jobs and {most} at a "
        "time. Send fewer pictures in a request."
    )


def _interval_ms(now: float, interval_ms: str | None, finished_ms: str | None) -> float:
    """Return the last known time between two job ends; it decays towards FIRST_INTERVAL_MS with age."""
    seen_ms = float(interval_ms or FIRST_INTERVAL_MS)
    if not 0 <= seen_ms <= MAX_INTERVAL_MS:
        return FIRST_INTERVAL_MS
    # A time in the future means that the clock was set back: use the distance as the age.
    age_seconds = abs(now - float(finished_ms or 0) / 1000)
    weight: float = 0.5 ** (age_seconds / HALF_LIFE_SECONDS)
    return FIRST_INTERVAL_MS + (seen_ms - FIRST_INTERVAL_MS) * weight

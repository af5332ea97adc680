"""Finds stalled jobs: ended leases, passed deadlines, lost messages, lost children."""

import secrets
from dataclasses import dataclass
from typing import cast

import redis

from shared.clock import SYSTEM_CLOCK, Clock
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import (
    BYTES_KEY,
    DEADLINES_KEY,
    GONE_PREFIX,
    JOB_PREFIX,
    LEASES_KEY,
    OPEN_KEY,
    REACHED_KEY,
    ROUND_KEY,
)
from shared.jobs.script import JobScript

# A message published less than this long ago does not count as lost.
LOST_MESSAGE_GRACE_MS = 5_000
MOST = 200
VANISHED_TTL_SECONDS = 24 * 3600


@dataclass(frozen=True)
class LostMessages:
    """Ids of jobs that were published again, and of open jobs whose record is gone."""

    published: list[str]
    vanished: list[str]


class StalledJobs:
    """Searches the indexes of the job records, MOST jobs at a time; times are milliseconds on Redis' clock."""

    def __init__(self, client: redis.Redis, queue: Queue, clock: Clock = SYSTEM_CLOCK) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue
        self._publish_lost = JobScript(client, "publish_lost", clock)

    def running(self, worker: str) -> dict[str, str]:
        """Return the running jobs of a worker: execution by job id."""
        ids = cast(list[str], self._redis.zrange(self._queue.key(LEASES_KEY), 0, -1))
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(self._queue.key(JOB_PREFIX + job_id), "worker", "execution")
            found = zip(ids, pipe.execute(), strict=True)
        return {job_id: execution for job_id, (runs_on, execution) in found if runs_on == worker}

    def overdue(self, now_ms: int) -> dict[str, str]:
        """Return the running jobs whose lease has ended: execution by job id."""
        ids = self._before(LEASES_KEY, now_ms)
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(self._queue.key(JOB_PREFIX + job_id), "execution")
            found = zip(ids, pipe.execute(), strict=True)
        return {job_id: execution for job_id, execution in found if execution}

    def past_deadline(self, now_ms: int) -> list[str]:
        """Return the ids of open jobs whose deadline has passed, including running ones."""
        return self._before(DEADLINES_KEY, now_ms)

    def publish_lost(self) -> LostMessages:
        """Publish queued jobs whose message was lost; remove jobs without a record from the indexes."""
        key = self._queue.key
        call = self._publish_lost.call(
            keys={
                "open_key": key(OPEN_KEY),
                "leases_key": key(LEASES_KEY),
                "deadlines_key": key(DEADLINES_KEY),
                "bytes_key": key(BYTES_KEY),
                "reached_key": key(REACHED_KEY),
                "queue_key": self._queue.list_key,
                "round_key": key(ROUND_KEY),
            },
            args={
                "by": secrets.token_hex(8),
                "grace_ms": LOST_MESSAGE_GRACE_MS,
                "most": MOST,
                "job_prefix": key(JOB_PREFIX),
                "gone_prefix": key(GONE_PREFIX),
                "gone_ttl_seconds": VANISHED_TTL_SECONDS,
                "message": self._queue.message,
            },
        )
        published, vanished = call.run(self._redis)
        return LostMessages([found.decode() for found in published], [found.decode() for found in vanished])

    def _before(self, name: str, now_ms: int) -> list[str]:
        ids = self._redis.zrange(self._queue.key(name), "-inf", now_ms, byscore=True, offset=0, num=MOST)
        return cast(list[str], ids)

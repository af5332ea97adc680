"""The index of pictures that are kept for a retry of their failed jobs; `finish.lua` adds to it."""

from collections.abc import Sequence
from typing import Any, cast

import redis
from redis.client import NEVER_DECODE

from shared.clock import Clock
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import KEPT_BYTES_KEY, KEPT_KEY, PICTURE_PREFIX
from shared.jobs.script import JobScript

MOST = 200


class KeptPictures:
    """Reads the index, and removes pictures from it; the caller deletes a picture that is in a folder or in S3."""

    def __init__(self, client: redis.Redis, queue: Queue, clock: Clock) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue
        self._forget = JobScript(client, "forget_kept", clock)

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs whose picture is kept, sorted by the time until which it is kept."""
        return cast(list[str], self._redis.zrange(self._queue.key(KEPT_KEY), 0, -1))

    def newest(self, most: int) -> list[str]:
        """Return the ids of those jobs whose picture is kept longest: the `most` newest."""
        return cast(list[str], self._redis.zrange(self._queue.key(KEPT_KEY), 0, most - 1, desc=True))

    def among(self, job_ids: Sequence[str]) -> set[str]:
        """Return those of the jobs whose picture is kept."""
        if not job_ids:
            return set()
        until = self._redis.zmscore(self._queue.key(KEPT_KEY), list(job_ids))
        return {job_id for job_id, until_ms in zip(job_ids, until, strict=True) if until_ms is not None}

    def outdated(self, now_ms: int) -> list[str]:
        """Return up to MOST ids of jobs whose picture has been kept for long enough; `now_ms` is Redis' time."""
        ids = self._redis.zrange(self._queue.key(KEPT_KEY), "-inf", now_ms, byscore=True, offset=0, num=MOST)
        return cast(list[str], ids)

    def contains(self, job_id: str) -> bool:
        """Whether the picture of this job is kept."""
        return self._redis.zscore(self._queue.key(KEPT_KEY), job_id) is not None

    def carried(self, job_id: str) -> bytes:
        """Return the picture of a job if it is stored in Redis, else no bytes."""
        key = self._queue.key(PICTURE_PREFIX + job_id)
        found: Any = self._redis.execute_command("GET", key, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]
        return bytes(found or b"")

    def forget(self, job_id: str) -> None:
        """Remove a picture from the index and, if it is stored in Redis, delete it."""
        key = self._queue.key
        keys = {
            "kept_key": key(KEPT_KEY),
            "kept_bytes_key": key(KEPT_BYTES_KEY),
            "picture_key": key(PICTURE_PREFIX + job_id),
        }
        self._forget.call(keys, {"id": job_id}).run(self._redis)

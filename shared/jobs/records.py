"""The job records in Redis: the single source of truth about accepted jobs and their outcomes."""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import redis

from shared.errors import GoneJob, UnknownJob
from shared.jobs.models import Job, Origin
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import FAILED_KEY, GONE_PREFIX, JOB_PREFIX

UNKNOWN = "There is no job with this id."


class JobRecords:
    """Reads job records."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return the job; with an `owner`, only if it belongs to that owner.

        Raises:
            GoneJob: the job was deleted or has expired, or its record is incomplete.
            UnknownJob: the job never existed, or belongs to another owner.
        """
        record = cast(dict[str, str], self._redis.hgetall(self._queue.key(JOB_PREFIX + job_id)))
        if record:
            _check_owner(owner, record.get("owner", ""))
            try:
                return Job.from_hash(job_id, record)
            except (KeyError, ValueError):
                raise GoneJob("The record of this job is damaged: Redis has lost parts of it.") from None
        gone = cast(str | None, self._redis.get(self._queue.key(GONE_PREFIX + job_id)))
        if gone is None:
            raise UnknownJob(UNKNOWN)
        _check_owner(owner, gone)
        raise GoneJob("This result was deleted or has expired.")

    def origins(self, job_ids: Sequence[str]) -> list[Origin]:
        """Return where these jobs come from, in one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(self._queue.key(JOB_PREFIX + job_id), "request_id", "traceparent", "begun_ms")
            return [Origin(request or "", parent or "", int(begun or 0)) for request, parent, begun in pipe.execute()]

    def failed(self, most: int) -> list[Job]:
        """Return the most recently failed jobs that still have a record, newest first."""
        return self.existing(self.failed_ids(most))

    def failed_ids(self, most: int) -> list[str]:
        """Return the ids of the most recently failed jobs, newest first."""
        return cast(list[str], self._redis.zrange(self._queue.key(FAILED_KEY), 0, most - 1, desc=True))

    def existing(self, ids: Sequence[str]) -> list[Job]:
        """Return those of the jobs that still have a record; a damaged record counts as none."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(self._queue.key(JOB_PREFIX + job_id))
            records = zip(ids, pipe.execute(), strict=True)
        found = []
        for job_id, record in records:
            with suppress(KeyError, ValueError):
                found.append(Job.from_hash(job_id, record))
        return found


def _check_owner(wanted: str | None, owner: str) -> None:
    """Raise UnknownJob for another owner's job. A tombstone without owner contains `1`, which no key can be named."""
    if wanted is not None and owner != wanted:
        raise UnknownJob(UNKNOWN)

"""Finds jobs that were left behind and publishes them again."""

import logging

import redis

from shared.jobs import Jobs
from shared.queue import JobQueue

log = logging.getLogger(__name__)

REPAIR_SECONDS = 2
REPAIR_LEASE_KEY = "repair:lease"


class Repair:
    """One round looks for ended leases and lost messages; of all workers one at a time does it."""

    def __init__(self, client: redis.Redis, jobs: Jobs, queue: JobQueue) -> None:
        self._redis = client
        self._jobs = jobs
        self._queue = queue

    def run_once(self) -> list[str]:
        """Do one round if no other worker has done one just now; return the ids that were published again."""
        # A little shorter than the period, so that the next round of whoever comes first is not refused.
        if not self._redis.set(REPAIR_LEASE_KEY, 1, nx=True, px=int(REPAIR_SECONDS * 900)):
            return []
        published = [job_id for job_id in self._jobs.overdue() if self._released(job_id)]
        published += self._jobs.overtaken()
        for job_id in published:
            log.warning("job %s: published again", job_id)
            self._queue.enqueue(job_id)
        return published

    def _released(self, job_id: str) -> bool:
        return self._jobs.release(job_id, "its worker stopped answering", lease_ended=True)

"""Finds jobs that were left behind and publishes them again; ends those past their deadline."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import redis

from shared.image_store import ImageStore, forget_picture
from shared.job import Release
from shared.jobs import Jobs
from shared.log import about_job
from worker.left_behind import LeftBehind
from worker.shift import is_of_shift

log = logging.getLogger(__name__)

REPAIR_SECONDS = 2
REPAIR_LEASE_KEY = "repair:lease"


class Repair:
    """One round looks for ended leases, lost messages and passed deadlines; of all workers one at a time does it."""

    def __init__(
        self, client: redis.Redis, jobs: Jobs, images: ImageStore, redelivered: Callable[[str, int], None]
    ) -> None:
        """`redelivered` hears why jobs were published again (`lost`, `overtaken`), and how many."""
        self._redis = client
        self._redelivered = redelivered
        self._jobs = jobs
        self._left_behind = LeftBehind(client)
        self._images = images

    def run_once(self) -> list[str]:
        """Do one round if no other worker has done one just now; return the ids that were published again."""
        # A little shorter than the period, so that the next round of whoever comes first is not refused.
        if not self._redis.set(REPAIR_LEASE_KEY, 1, nx=True, px=int(REPAIR_SECONDS * 900)):
            return []
        for job_id in self._left_behind.past_deadline():
            if self._jobs.expire(job_id):
                forget_picture(self._images, job_id)
        reason = "its worker stopped answering"
        published = [
            job_id for job_id in self._left_behind.overdue() if self._released(job_id, reason, lease_ended=True)
        ]
        overtaken = self._left_behind.publish_overtaken()
        self._redelivered("overtaken", len(overtaken))
        published += overtaken
        self._log(published, "published again")
        return published

    def hand_back(self, worker: str, delivered_id: str, reason: str) -> None:
        """Give up the attempt that a worker's shift was at and publish the job, unless it was its last."""
        lost = self._jobs_of_shift(worker, delivered_id)
        for job_id in lost:
            self._released(job_id, reason)
        self._log(lost, f"given up, {reason}")

    def postpone(self, worker: str, delivered_id: str, reason: str) -> None:
        """Have the job that a worker's shift was at wait for better times; the attempt does not count."""
        lost = self._jobs_of_shift(worker, delivered_id)
        for job_id in lost:
            self._jobs.postpone(job_id)
        self._log(lost, f"postponed, {reason}")

    def give_up(self, worker: str, delivered_id: str, problem: Mapping[str, Any]) -> None:
        """Fail the job that a worker's shift was at, as it is not worth another attempt."""
        lost = self._jobs_of_shift(worker, delivered_id)
        for job_id in lost:
            self._jobs.fail(job_id, problem)
            forget_picture(self._images, job_id)
        self._log(lost, f"failed, {problem['title']}")

    def _log(self, job_ids: list[str], what: str) -> None:
        for job_id, name in zip(job_ids, self._jobs.request_ids(job_ids), strict=True):
            with about_job(job_id, name):
                log.warning("A job was %s.", what)

    def _jobs_of_shift(self, worker: str, delivered_id: str) -> list[str]:
        running = self._left_behind.running(worker)
        return [job_id for job_id, execution in running.items() if is_of_shift(execution, delivered_id)]

    def _released(self, job_id: str, reason: str, *, lease_ended: bool = False) -> bool:
        release = self._jobs.release(job_id, reason, lease_ended=lease_ended)
        if release is Release.EXHAUSTED:
            forget_picture(self._images, job_id)
        if release is Release.QUEUED:
            self._redelivered("lost", 1)
        return release is Release.QUEUED

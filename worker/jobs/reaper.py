"""The reaper: requeues stalled jobs, publishes lost messages again, ends jobs past their deadline."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from shared.images.store import PictureRemover, forget_picture
from shared.jobs.events import JobEvents
from shared.jobs.models import Ended, JobState, Origin, Requeued
from shared.jobs.store import Jobs
from shared.log import about_job
from shared.tracing import NO_TRACING, Tracing
from worker.jobs.consumer import is_of_delivery
from worker.jobs.stalled import StalledJobs
from worker.jobs.traces import JobTraces
from worker.jobs.turns import Turns

log = logging.getLogger(__name__)

REAP_SECONDS = 2


class Reaper:
    """A round handles ended leases, lost messages, passed deadlines and kept pictures; the workers take turns."""

    def __init__(
        self,
        turns: Turns,
        jobs: Jobs,
        stalled: StalledJobs,
        images: PictureRemover,
        events: JobEvents,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        """`events.requeued` is called for jobs that were requeued or published again."""
        self._traces = JobTraces(tracing)
        self._turns = turns
        self._events = events
        self._jobs = jobs
        self._stalled = stalled
        self._images = images

    def run_once(self) -> list[str]:
        """Run a round unless another worker has just run one; return the ids of the jobs that were published again."""
        now_ms = self._turns.take()
        if now_ms is None:
            return []
        self._expire(self._stalled.past_deadline(now_ms))
        reason = "its worker stopped answering"
        published = [
            job_id
            for job_id, execution in self._stalled.overdue(now_ms).items()
            if self._requeue(job_id, execution, reason, lease_ended=True) is Requeued.QUEUED
        ]
        self._forget_outdated(now_ms)
        lost = self._stalled.publish_lost()
        self._events.requeued("overtaken", len(lost.published))
        published += lost.published
        self._log(published, "published again")
        for job_id in lost.vanished:
            log.error("The record of the accepted job %s is missing: Redis must not evict keys.", job_id)
        return published

    def held(self, worker: str, delivery_tag: str) -> dict[str, str]:
        """Return the jobs that a worker holds for a delivery: execution by job id."""
        running = self._stalled.running(worker)
        return {job_id: execution for job_id, execution in running.items() if is_of_delivery(execution, delivery_tag)}

    def requeue(self, job_id: str, execution: str, reason: str, *, died: bool = False) -> None:
        """Give up an attempt and publish the job, unless it was its last; `died` as in `Jobs.requeue`."""
        if self._requeue(job_id, execution, reason, died=died) is not Requeued.NONE:
            self._log([job_id], f"interrupted: {reason}")

    def requeue_uncounted(self, job_id: str, execution: str, reason: str, *, publish: bool) -> None:
        """Give up an attempt without counting it; without `publish`, the job waits for a few seconds."""
        if self._requeue(job_id, execution, reason, counted=False, publish=publish) is Requeued.QUEUED:
            self._log([job_id], f"requeued: {reason}")

    def fail(self, job_id: str, execution: str, problem: Mapping[str, Any]) -> None:
        """Fail a job without another attempt."""
        ended = self._jobs.fail_running(job_id, problem, execution)
        if ended is Ended.YES:
            forget_picture(self._images, job_id)
        if ended:
            [origin] = self._log([job_id], f"failed: {problem['title']}")
            self._traces.ended(origin, JobState.FAILED, str(problem["title"]))

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; False if it has already ended or does not exist."""
        canceled = self._jobs.cancel(job_id)
        if canceled is Ended.YES:
            forget_picture(self._images, job_id)
        if canceled:
            [origin] = self._log([job_id], "canceled through Celery", logging.INFO)
            self._traces.ended(origin, JobState.CANCELED)
        return bool(canceled)

    def _expire(self, job_ids: Sequence[str]) -> None:
        ended = self._jobs.expire_all(job_ids)
        for job_id in job_ids:
            if ended[job_id] is Ended.YES:
                forget_picture(self._images, job_id)
        for origin in self._jobs.origins([job_id for job_id in job_ids if ended[job_id]]):
            self._traces.ended(origin, JobState.EXPIRED)

    def _forget_outdated(self, now_ms: int) -> None:
        """Delete pictures of failed jobs that have been kept for long enough."""
        for job_id in self._jobs.kept.outdated(now_ms):
            forget_picture(self._images, job_id)
            self._jobs.kept.forget(job_id)

    def _log(self, job_ids: Sequence[str], what: str, level: int = logging.WARNING) -> list[Origin]:
        """Log a line for each job; return where the jobs come from."""
        origins = self._jobs.origins(job_ids)
        for job_id, origin in zip(job_ids, origins, strict=True):
            with about_job(job_id, origin.request_id, origin.traceparent):
                log.log(level, "A job was %s.", what)
        return origins

    def _requeue(self, job_id: str, execution: str, reason: str, **options: bool) -> Requeued:
        # Read first: once the job is queued again, another worker may begin it.
        [origin] = self._jobs.origins([job_id])
        requeued = self._jobs.requeue(job_id, execution, reason, **options)
        if requeued is not Requeued.NONE:
            self._traces.lost(origin, reason)
        if requeued in (Requeued.EXHAUSTED, Requeued.KEPT):
            self._traces.ended(origin, JobState.FAILED, reason)
        if requeued is Requeued.EXHAUSTED:
            forget_picture(self._images, job_id)
        if requeued is Requeued.QUEUED and options.get("counted", True):
            self._events.requeued("lost", 1)
        return requeued

"""A shift: the job that was delivered and, while there is time, those that wait."""

import logging
import time
import uuid

from shared.image_store import ImageStore
from shared.job import Begun, Claim, Outcome
from shared.jobs import Jobs
from shared.log import about_job, job_id, request_id
from shared.workers import WorkerRecord
from worker.job_runner import JobRunner
from worker.metrics import WorkerMetrics

# Under load this many seconds' jobs of a child pass by Celery's parent, which would cost a sixth of what the model does
# (docs/decisions/0008). Short, since a stop and a time limit wait for it.
SHIFT_SECONDS = 1

log = logging.getLogger(__name__)


class Shift:
    """Takes jobs for a worker, has them run and writes how they ended."""

    def __init__(
        self,
        jobs: Jobs,
        images: ImageStore,
        runner: JobRunner,
        record: WorkerRecord,
        lease_seconds: float,
        metrics: WorkerMetrics,
    ) -> None:
        self._jobs = jobs
        self._images = images
        self._runner = runner
        self._record = record
        self._lease_seconds = lease_seconds
        self._metrics = metrics
        self._begun_at = 0.0

    def run(self, delivered_id: str) -> None:
        """Run the delivered job and then those that wait, at most for SHIFT_SECONDS and the last job.

        What a store or the time limit raises outside the classifier passes through: that is no fault of the
        picture, and the job is handed back.
        """
        until = time.monotonic() + SHIFT_SECONDS
        begun = self._begin(delivered_id)
        while begun:
            outcome = self._runner.run(begun)
            begun = self._end(begun, outcome, self._claim(delivered_id) if time.monotonic() < until else None)

    def run_one(self, delivered_id: str) -> None:
        """Run the delivered job only; raises as `run`."""
        begun = self._begin(delivered_id)
        if begun:
            self._end(begun, self._runner.run(begun), None)

    def _claim(self, delivered_id: str) -> Claim:
        return Claim(execution_of(delivered_id), self._record.name, self._lease_seconds)

    def _begin(self, delivered_id: str) -> Begun | None:
        begun = self._noted(self._jobs.begin(delivered_id, self._claim(delivered_id)))
        if begun is None:
            with about_job(delivered_id, self._jobs.request_ids([delivered_id])[0]):
                log.info("A delivery was dropped: the job may not begin.")
        return begun

    def _end(self, begun: Begun, outcome: Outcome, claim: Claim | None) -> Begun | None:
        """End the job and, with a claim, begin the next one that waits."""
        ended_id, following = begun.job.id, None
        if claim:
            following = self._jobs.end_and_begin_next(ended_id, outcome, claim)
        else:
            self._jobs.end(ended_id, outcome)
        self._forget_picture(ended_id)
        self._metrics.done(begun.job, time.monotonic() - self._begun_at)
        return self._noted(following)

    def _forget_picture(self, ended_id: str) -> None:
        try:
            self._images.delete(ended_id)
        except OSError as error:
            # The job has ended all the same, and another may have begun; the sweep finds the picture.
            log.warning("A picture could not be deleted: %s", error)

    def _noted(self, begun: Begun | None) -> Begun | None:
        """Count a job that has begun, and have what is logged from now on bear its id and that of its request.

        Until the next one begins: Celery logs what passes through here.
        """
        job_id.set(begun.job.id if begun else "")
        request_id.set(begun.job.request_id if begun else "")
        if begun:
            self._begun_at = time.monotonic()
            self._metrics.begun(begun.job)
        return begun


def execution_of(delivered_id: str) -> str:
    """Return a new execution of the shift that began with this delivery: from it the parent knows what was lost."""
    return f"{delivered_id}:{uuid.uuid4().hex}"


def is_of_shift(execution: str, delivered_id: str) -> bool:
    """Whether an execution belongs to the shift that began with this delivery."""
    return execution.startswith(f"{delivered_id}:")

"""A consumer: the job that was delivered and, while there is time, those that wait."""

import logging
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from shared.jobs.models import Claim, ClaimedJob, Outcome
from shared.jobs.store import Claimed, Jobs
from shared.log import about_job
from worker.jobs.foreign import ForeignMessages
from worker.jobs.runner import JobRunner, PictureClassifier

# The answer to a claim may come so late, as a share of the lease: it may carry a large picture over a slow line. Later,
# too little is left of the lease and of the task's time limit.
LATE_SHARE = 1 / 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConsumerTerms:
    """The name of the worker that claims, the lease of its jobs, and for how long it claims further jobs itself.

    Under load a child claims the next jobs itself for `consume_seconds`, since each way through Celery's parent costs a
    sixth of what the model does (docs/decisions/0008). Short, since a stop and a time limit wait for it. 0: the
    delivered job only.
    """

    worker: str
    lease_seconds: float
    consume_seconds: float

    @property
    def late_seconds(self) -> float:
        """How long after `consume_seconds` a claimed job is still begun."""
        return self.lease_seconds * LATE_SHARE


class JobConsumer:
    """Takes jobs for a worker, has them run and writes how they ended. Threads may share one."""

    def __init__(self, jobs: Jobs, runner: JobRunner, foreign: ForeignMessages, terms: ConsumerTerms) -> None:
        self._jobs = jobs
        self._runner = runner
        self._foreign = foreign
        self._terms = terms

    def run(self, task_id: str, classifier: PictureClassifier) -> None:
        """Run the delivered job and then waiting ones until `consume_seconds` have passed; the last one is finished.

        What a store or the time limit raises outside the classifier passes through: that is no fault of the
        picture, and the job is requeued.
        """
        until = time.monotonic() + self._terms.consume_seconds
        waiting = deque(self._claim_delivered(task_id))
        while waiting:
            claimed = waiting.popleft()
            if time.monotonic() > until + self._terms.late_seconds:
                # Redis stood still meanwhile: the task's time limit would count against a job that has just begun.
                self._jobs.requeue(claimed.job.id, claimed.execution, "its claim took too long", counted=False)
                continue
            go_on = not waiting and time.monotonic() < until
            waiting.extend(self._run(claimed, classifier, task_id if go_on else ""))

    def _run(self, claimed: ClaimedJob, classifier: PictureClassifier, next_for: str) -> list[ClaimedJob]:
        """Run a job and end it; claim the next ones in the same round trip if they are for a task."""
        job, began = claimed.job, time.monotonic()
        outcome = self._runner.run(claimed, classifier)
        if next_for:
            following = self._end_and_claim(claimed, outcome, self._claim(next_for))
        else:
            following = Claimed(ended=self._jobs.end(job.id, outcome, claimed.execution))
        self._runner.leave(job, began, forget=following.ended)
        return self._noted(following)

    def _claim(self, task_id: str) -> Claim:
        return Claim(execution_of(task_id), self._terms.worker, self._terms.lease_seconds)

    def _claim_delivered(self, task_id: str) -> list[ClaimedJob]:
        claim = self._claim(task_id)
        with self._given_back_unless_heard(claim):
            jobs = self._noted(self._jobs.claim(claim, task_id))
        if not jobs:
            with about_job(task_id, self._jobs.request_ids([task_id])[0]):
                log.info("A delivery was dropped: the job may not begin.")
        return jobs

    def _end_and_claim(self, claimed: ClaimedJob, outcome: Outcome, claim: Claim) -> Claimed:
        with self._given_back_unless_heard(claim):
            return self._jobs.end_and_claim(claimed.job.id, outcome, claimed.execution, claim)

    @contextmanager
    def _given_back_unless_heard(self, claim: Claim) -> Iterator[None]:
        """Requeue what the claim took if its answer does not come; the attempt does not count, as nothing was run."""
        try:
            yield
        except Exception:
            try:
                self._jobs.give_back(claim.execution)
            except redis.RedisError as error:
                log.warning("Jobs that were perhaps claimed wait until their lease ends: %s", error)
            raise

    def _noted(self, claimed: Claimed) -> list[ClaimedJob]:
        for name in claimed.foreign:
            self._foreign.noticed(name)
        return list(claimed.jobs)


def execution_of(task_id: str) -> str:
    """Return a new execution of the consumer that began with this task: from it the parent knows what was lost."""
    return f"{task_id}:{uuid.uuid4().hex}"


def is_of_task(execution: str, task_id: str) -> bool:
    """Whether an execution belongs to the consumer that began with this task."""
    return execution.startswith(f"{task_id}:")

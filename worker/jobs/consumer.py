"""Runs the delivered job and then, for a limited time, further jobs that it claims itself."""

import logging
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from shared.jobs.claims import Claim, Claimed, ClaimedJob
from shared.jobs.models import Ended, Outcome
from shared.jobs.store import Jobs
from shared.log import about_job
from shared.tracing import NO_TRACING, Tracing
from worker.jobs.foreign import ForeignMessages
from worker.jobs.runner import JobRunner, PictureClassifier
from worker.jobs.traces import JobTraces

# The answer to a claim may take this share of the lease: it may carry a large picture over a slow network. After that,
# too little is left of the lease and of the task's time limit.
LATE_SHARE = 1 / 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConsumerTerms:
    """Name of the worker, length of a lease, and `consume_seconds`.

    `consume_seconds` is how long a child claims further jobs itself after a Celery task (0: only the delivered job):
    each job delivered through Celery's main process costs a sixth of the model's CPU time (docs/decisions/0008). Keep
    it short: shutdown waits for it, and it is part of the task's time limit.
    """

    worker: str
    lease_seconds: float
    consume_seconds: float

    @property
    def late_seconds(self) -> float:
        """How long after `consume_seconds` a claimed job is still started."""
        return self.lease_seconds * LATE_SHARE


class JobConsumer:
    """Claims jobs for a worker, runs them and writes their outcomes. Threads may share an instance."""

    def __init__(
        self,
        jobs: Jobs,
        runner: JobRunner,
        foreign: ForeignMessages,
        terms: ConsumerTerms,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._traces = JobTraces(tracing)
        self._jobs = jobs
        self._runner = runner
        self._foreign = foreign
        self._terms = terms

    def run(self, job_id: str, delivery_tag: str, classifier: PictureClassifier) -> None:
        """Run the delivered job, then claim and run waiting jobs until `consume_seconds` have passed.

        All that is claimed belongs to this delivery (`is_of_delivery`).
        Errors of a store and of the time limit, raised outside the classifier, propagate: the picture did not cause
        them, and the job is requeued.
        """
        until = time.monotonic() + self._terms.consume_seconds
        waiting = deque(self._claim_delivered(job_id, delivery_tag))
        while waiting:
            claimed = waiting.popleft()
            if time.monotonic() > until + self._terms.late_seconds:
                # Redis was slow: the task's time limit could end a job that has only just started.
                self._jobs.requeue(claimed.job.id, claimed.execution, "its claim took too long", counted=False)
                continue
            go_on = not waiting and time.monotonic() < until
            waiting.extend(self._run(claimed, classifier, delivery_tag if go_on else ""))

    def _run(self, claimed: ClaimedJob, classifier: PictureClassifier, next_for: str) -> list[ClaimedJob]:
        """Run a job and write its outcome; with a tag in `next_for`, claim further jobs in the same round trip."""
        job, began = claimed.job, time.monotonic()
        with self._traces.attempt(job) as attempt:
            outcome = self._runner.run(claimed, classifier)
            with self._traces.end(attempt, outcome):
                following = self._end(claimed, outcome, next_for)
        self._runner.leave(job, began, forget=following.ended is Ended.YES)
        return self._noted(following)

    def _end(self, claimed: ClaimedJob, outcome: Outcome, next_for: str) -> Claimed:
        if next_for:
            return self._end_and_claim(claimed, outcome, self._claim(next_for))
        return Claimed(ended=self._jobs.end(claimed.job.id, outcome, claimed.execution))

    def _claim(self, delivery_tag: str) -> Claim:
        return Claim(execution_of(delivery_tag), self._terms.worker, self._terms.lease_seconds)

    def _claim_delivered(self, job_id: str, delivery_tag: str) -> list[ClaimedJob]:
        claim = self._claim(delivery_tag)
        with self._given_back_unless_heard(claim):
            jobs = self._noted(self._jobs.claim(claim, job_id))
        if not jobs:
            origin = self._jobs.origins([job_id])[0]
            with about_job(job_id, origin.request_id, origin.traceparent):
                log.info("A message was dropped: its job cannot be claimed.")
        return jobs

    def _end_and_claim(self, claimed: ClaimedJob, outcome: Outcome, claim: Claim) -> Claimed:
        with self._given_back_unless_heard(claim):
            return self._jobs.end_and_claim(claimed.job.id, outcome, claimed.execution, claim)

    @contextmanager
    def _given_back_unless_heard(self, claim: Claim) -> Iterator[None]:
        """If the answer to the claim is lost, requeue its jobs; the attempt does not count, because nothing was run."""
        try:
            yield
        except redis.ConnectionError:
            # Redis has just been tried for seconds. Whoever handles this error requeues the jobs of the delivery.
            raise
        except Exception:
            try:
                self._jobs.give_back(claim.execution)
            except redis.RedisError as error:
                log.warning("The answer to a claim was lost; its jobs wait until their lease ends: %s", error)
            raise

    def _noted(self, claimed: Claimed) -> list[ClaimedJob]:
        for name in claimed.foreign:
            self._foreign.noticed(name)
        return list(claimed.jobs)


def execution_of(delivery_tag: str) -> str:
    """Return a new execution id for this delivery; the main process finds the jobs of a lost child by its prefix."""
    return f"{delivery_tag}:{uuid.uuid4().hex}"


def is_of_delivery(execution: str, delivery_tag: str) -> bool:
    """Whether the execution belongs to this delivery."""
    return execution.startswith(f"{delivery_tag}:")

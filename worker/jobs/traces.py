"""The spans of a job in a worker."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.jobs.models import Job, JobState, Origin, Outcome
from shared.tracing import Span, Tracing


class JobTraces:
    """Records the time of a job in the queue, each of its attempts, and its end, below the span of its request.

    An attempt begins with the claim, by Redis' clock.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    @contextmanager
    def attempt(self, job: Job) -> Iterator[Span]:
        """Record the block as an attempt, and before it the time in the queue and the claim."""
        self._tracing.past("queue", job.traceparent, job.published_ms, job.begun_ms)
        with self._tracing.span("attempt", job.traceparent, kind="consumer", began_ms=job.begun_ms) as span:
            span.describe({"topthree.job_id": job.id, "topthree.attempt": job.attempts, "topthree.worker": job.worker})
            self._tracing.past("claim", span.traceparent, job.begun_ms, _now_ms())
            yield span

    @contextmanager
    def end(self, attempt: Span, outcome: Outcome) -> Iterator[None]:
        """Record the block as the step that writes the outcome of an attempt."""
        attempt.describe({"topthree.state": outcome.state.value})
        if outcome.state is JobState.FAILED:
            attempt.fail(json.loads(outcome.fields["problem"])["title"])
        with self._tracing.step("end"):
            yield

    def lost(self, origin: Origin, reason: str) -> None:
        """Record an attempt that was given up; the process that ran it may have died with its own spans."""
        self._tracing.past("lost attempt", origin.traceparent, origin.begun_ms, _now_ms(), failure=reason)

    def ended(self, origin: Origin, state: JobState, failure: str = "") -> None:
        """Record that a job has just been ended without an attempt, as a moment."""
        now_ms, attributes = _now_ms(), {"topthree.state": state.value}
        self._tracing.past("end", origin.traceparent, now_ms, now_ms, failure=failure, attributes=attributes)


def _now_ms() -> float:
    return time.time() * 1000

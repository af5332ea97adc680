"""Ends jobs with success or failure, for tests."""

from collections.abc import Mapping
from typing import Any

from shared.jobs.models import Outcome
from shared.jobs.store import Jobs


def succeed(jobs: Jobs, job_id: str, result: Mapping[str, Any], model: Mapping[str, str], execution: str = "") -> bool:
    """End the job with its labels; return what `Jobs.end` returns."""
    return jobs.end(job_id, Outcome.succeeded(result, model), execution)


def fail(jobs: Jobs, job_id: str, problem: Mapping[str, Any], execution: str = "") -> bool:
    """End the job with a problem; return what `Jobs.end` returns."""
    return jobs.end(job_id, Outcome.failed(problem), execution)

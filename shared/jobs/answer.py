"""A job that has ended, as `GET /result/<id>` answers it and webhooks send it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.jobs.models import Job


def answer_of(job: Job) -> dict[str, Any]:
    """Return the full record of a job that has ended, in JSON's types."""
    body: dict[str, Any] = {"id": job.id, "status": job.state}
    if job.result is not None:
        body["result"] = job.result
    if job.problem is not None:
        body["problem"] = shown_problem(job.problem)
    if job.model:
        body["model"] = job.model
    if job.worker:
        body["worker"] = job.worker
    if job.retry_of:
        body["retry_of"] = job.retry_of
    body["attempts"] = job.attempts
    moments = {"accepted": job.accepted_ms, "begun": job.begun_ms, "finished": job.finished_ms}
    body["times"] = {name: as_timestamp(ms) for name, ms in moments.items() if ms}
    return body


def shown_problem(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problem of a job in the terms of RFC 9457."""
    return {"type": "about:blank", **problem}


def as_timestamp(milliseconds: int) -> str:
    """Return a time in milliseconds since the epoch in ISO 8601."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

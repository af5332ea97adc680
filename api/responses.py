"""Converts jobs to HTTP responses: status, headers and body."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, url_for

from api.contract.schemas import OpenJob
from api.job_submission import Finished, Open, Submitted, TimedOut
from api.problems import problem
from shared.jobs.backlog import BacklogReader
from shared.jobs.models import JobState

MAX_POLL_SECONDS = 10
NO_WORKER = "No worker is running; the job is kept."


class JobResponses:
    """Builds the responses about jobs."""

    def __init__(self, reader: BacklogReader) -> None:
        self._reader = reader

    def open_job(self, found: Open) -> Response:
        """202: the state of the job, where to poll and when."""
        body: OpenJob = {"id": found.job_id, "status": found.state}
        retry_after = 1
        if found.state is JobState.QUEUED:
            position = self._reader.position(found.job_id) if found.position is None else found.position
            body["position"] = position
            retry_after = min(MAX_POLL_SECONDS, self._reader.read().seconds_for(position))
        if found.no_worker:
            body["detail"] = NO_WORKER
        response = jsonify(body)
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Retry-After"] = str(retry_after)
        return _about(response, found.job_id, found)

    def labels(self, found: Finished) -> Response:
        """The original program's response for a job that has ended: its labels, or its problem."""
        job = found.job
        if job.state is JobState.SUCCEEDED:
            return _about(jsonify(job.result), job.id, found)
        given = job.problem or {}
        status = int(given.get("status", 500))
        response = problem(status, str(given.get("detail", "")), title=str(given.get("title", "")))
        return _about(response, job.id, found)

    def timed_out(self, found: TimedOut) -> Response:
        """504: a client without preferences waited in vain; the job continues."""
        if found.no_worker:
            response = problem(504, f"{NO_WORKER} Poll its `Location`.")
        else:
            response = problem(504, "The result took too long. The job continues: poll its `Location`.")
        return _about(response, found.job_id, found)

    def record(self, found: Finished) -> Response:
        """200: the full record of a job that has ended."""
        job = found.job
        body: dict[str, Any] = {"id": job.id, "status": job.state}
        if job.result is not None:
            body["result"] = job.result
        if job.problem is not None:
            body["problem"] = {"type": "about:blank", **job.problem}
        if job.model:
            body["model"] = job.model
        if job.worker:
            body["worker"] = job.worker
        body["attempts"] = job.attempts
        moments = {"accepted": job.accepted_ms, "begun": job.begun_ms, "finished": job.finished_ms}
        body["times"] = {name: _iso(ms) for name, ms in moments.items() if ms}
        return _about(jsonify(body), job.id, found)


def _about(response: Response, job_id: str, found: Submitted) -> Response:
    """Add the headers of every response about a job."""
    response.headers["Location"] = url_for("results.get_result", job_id=job_id)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Prefer"
    if applied := found.preferences.applied:
        response.headers["Preference-Applied"] = applied
    if found.known is not None:
        # RFC 9211.
        response.headers["Cache-Status"] = "topthree; hit" if found.known else "topthree; fwd=miss"
    return response


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

"""Converts jobs to HTTP responses: status, headers and body."""

from http import HTTPStatus

from flask import Response, jsonify, url_for

from api.contract.schemas import OpenJob
from api.job_submission import Finished, Open, Submitted, TimedOut
from api.problems import problem
from shared.jobs.answer import answer_of
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
        if found.retry_of:
            body["retry_of"] = found.retry_of
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
        """504: a client without preferences has waited for the whole time; the job continues."""
        if found.no_worker:
            response = problem(504, f"{NO_WORKER} Poll its `Location`.")
        else:
            response = problem(504, "The job did not finish in time. It continues: poll its `Location`.")
        return _about(response, found.job_id, found)

    def record(self, found: Finished) -> Response:
        """200: the full record of a job that has ended."""
        return _about(jsonify(answer_of(found.job)), found.job.id, found)


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

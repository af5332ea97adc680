"""Jobs as HTTP answers: which status, which headers, which body."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, url_for

from api.contract.schemas import OpenJob
from api.preferences import Preferences
from api.problems import problem
from shared.jobs.admission import Admission
from shared.jobs.backlog import BacklogReader
from shared.jobs.models import Job, JobState

MAX_POLL_SECONDS = 10


class JobResponses:
    """Builds the answers about jobs."""

    def __init__(self, reader: BacklogReader) -> None:
        self._reader = reader

    def accepted(self, admission: Admission, preferences: Preferences) -> Response:
        """202 for a job that was just accepted; one whose result was known has ended already."""
        if admission.known:
            return self._open(admission.job_id, JobState.SUCCEEDED, None, preferences)
        return self._open(admission.job_id, JobState.QUEUED, admission.position, preferences)

    def open_job(self, job: Job, preferences: Preferences) -> Response:
        """202 for a client that does not wait (any longer)."""
        position = self._reader.position(job.id) if job.state is JobState.QUEUED else None
        return self._open(job.id, job.state, position, preferences)

    def _open(self, job_id: str, state: JobState, position: int | None, preferences: Preferences) -> Response:
        """202: where the job stands, where to ask again and when."""
        body: OpenJob = {"id": job_id, "status": state}
        retry_after = 1
        if position is not None:
            body["position"] = position
            retry_after = min(MAX_POLL_SECONDS, self._reader.read().seconds_for(position))
        response = jsonify(body)
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Retry-After"] = str(retry_after)
        return _about(response, job_id, preferences)

    def labels(self, job: Job, preferences: Preferences) -> Response:
        """The answer of the original program for a job that has ended: its labels, or its problem."""
        if job.state is JobState.SUCCEEDED:
            return _about(jsonify(job.result), job.id, preferences)
        given = job.problem or {}
        status = int(given.get("status", 500))
        response = problem(status, str(given.get("detail", "")), title=str(given.get("title", "")))
        return _about(response, job.id, preferences)

    def timed_out(self, job: Job, preferences: Preferences) -> Response:
        """504: a client that asked for nothing else has waited in vain; the job goes on."""
        response = problem(504, "The answer took too long. The job goes on: ask for it at the Location.")
        return _about(response, job.id, preferences)

    def record(self, job: Job, preferences: Preferences) -> Response:
        """200: everything about a job that has ended."""
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
        return _about(jsonify(body), job.id, preferences)


def _about(response: Response, job_id: str, preferences: Preferences) -> Response:
    """Add the headers that every answer about a job carries."""
    response.headers["Location"] = url_for("results.get_result", job_id=job_id)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Prefer"
    if preferences.applied:
        response.headers["Preference-Applied"] = preferences.applied
    return response


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

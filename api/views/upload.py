"""`POST /upload`: a picture in, its labels or its job out."""

from flask import Blueprint, Response, request

from api.answers import Answers
from api.gate import Gate
from api.intake import Intake, new_job_id
from api.lookup import Lookup
from api.preferences import parse_preferences
from api.uploads import UploadLimits, read_idempotency_key, read_upload
from api.waiters import Waiters
from shared.admission import Admission
from shared.errors import TooManyWaiters

RETRY_AFTER_SECONDS = 2
NO_PLACE = "Too many requests wait for an answer. Try again, or send `Prefer: respond-async` and poll."


def upload_blueprint(
    gate: Gate,
    lookup: Lookup,
    intake: Intake,
    waiters: Waiters,
    answers: Answers,
    limits: UploadLimits,
    wait_seconds: float,
) -> Blueprint:
    """Return the route; `wait_seconds` is how long a client waits that asked for nothing else."""
    blueprint = Blueprint("upload", __name__)

    @blueprint.post("/upload")
    def upload() -> Response:
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        # A client that sends no preference takes whatever comes with 2xx for its labels.
        plain = preferences.wait_seconds is None and not preferences.respond_async
        seconds = wait_seconds if plain else preferences.wait_seconds or 0
        key = read_idempotency_key(request)
        if not key:
            # A retry joins its first job even when the queue is full; the atomic check stands behind this one.
            gate.check(wait_seconds if plain else 0)
        job_id = new_job_id()
        with waiters.place(wanted=seconds > 0) as may_wait, waiters.listen(job_id) as waiter:
            if plain and not may_wait:
                raise TooManyWaiters(NO_PLACE, RETRY_AFTER_SECONDS)
            admission = intake.accept(job_id, read_upload(request, limits), key)
            if seconds and not may_wait:
                preferences = preferences.without_wait()
            if not may_wait and not admission.joined:
                return _with_cache_status(answers.accepted(admission, preferences), admission)
            if admission.joined or admission.known:
                job = waiters.wait(admission.job_id, seconds if may_wait else 0)
            else:
                job = waiters.wait_for(waiter, seconds)
        if job.state.terminal and may_wait:
            response = answers.labels(job, preferences)
        else:
            response = answers.timed_out(job, preferences) if plain else answers.open_job(job, preferences)
        return _with_cache_status(response, admission)

    def _with_cache_status(response: Response, admission: Admission) -> Response:
        """Say where the answer came from (RFC 9211); a joined job was asked for before, by the same client."""
        if lookup.enabled and not admission.joined:
            response.headers["Cache-Status"] = "topthree; hit" if admission.known else "topthree; fwd=miss"
        return response

    return blueprint

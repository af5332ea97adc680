"""`POST /upload`: a picture in, its labels or its job out."""

from flask import Blueprint, Response, request

from api.admission_control import AdmissionControl
from api.cached_results import CachedResults
from api.contract.examples import LABELS, QUEUED_JOB
from api.contract.headers import ABOUT_A_JOB, IDEMPOTENCY_KEY, PREFER
from api.contract.operation import Answer, operation
from api.contract.problems import BEFORE_JOBS
from api.contract.schemas import Labels, OpenJob
from api.job_submission import JobSubmission, new_job_id
from api.preferences import parse_preferences
from api.responses import JobResponses
from api.uploads import (
    DEFAULT_TOP,
    FIELD,
    MAX_DEADLINE_SECONDS,
    MAX_TOP,
    MOST_PARTS,
    UploadLimits,
    read_idempotency_key,
    read_upload,
)
from api.waiters import Waiters
from shared.errors import TooManyWaiters
from shared.images.formats import NAMES
from shared.jobs.admission import Admission

RETRY_AFTER_SECONDS = 2
PICTURE = {"type": "string", "format": "binary", "description": f"{NAMES}."}
FORM = {
    "type": "object",
    "properties": {FIELD: PICTURE},
    "required": [FIELD],
    "maxProperties": MOST_PARTS,
    "description": "The picture as a file; other fields are ignored.",
}
BODY = {
    "required": True,
    "description": "The picture as a file in a form, or its bytes. Its format is read from the bytes.",
    "content": {
        "multipart/form-data": {"schema": FORM, "encoding": {FIELD: {"contentType": "image/*"}}},
        "image/*": {"schema": PICTURE},
    },
}
PARAMETERS = (
    {
        "name": "top",
        "in": "query",
        "description": "How many labels.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP},
    },
    {
        "name": "deadline",
        "in": "query",
        "description": "Drop the job if it has not begun within so many seconds.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_SECONDS},
    },
    PREFER,
    IDEMPOTENCY_KEY,
)
JOB_ID = {"job_id": "$response.body#/id"}
ANSWERS = {
    200: Answer("The labels.", Labels, LABELS, headers=(*ABOUT_A_JOB, "Cache-Status")),
    202: Answer(
        "The job goes on, as the client does not want to wait (any longer).",
        OpenJob,
        QUEUED_JOB,
        headers=(*ABOUT_A_JOB, "Retry-After", "Cache-Status"),
        links={
            "get": {"operationId": "get_result", "parameters": JOB_ID},
            "delete": {"operationId": "delete_result", "parameters": JOB_ID},
        },
    ),
}
NO_PLACE = "Too many requests wait for an answer. Try again, or send `Prefer: respond-async` and poll."


def upload_blueprint(
    admission_control: AdmissionControl,
    cached_results: CachedResults,
    submission: JobSubmission,
    waiters: Waiters,
    responses: JobResponses,
    limits: UploadLimits,
    wait_seconds: float,
) -> Blueprint:
    """Return the route; `wait_seconds` is how long a client waits that asked for nothing else."""
    blueprint = Blueprint("upload", __name__)

    @blueprint.post("/upload")
    @operation(
        "pictures",
        ANSWERS,
        problems=(*BEFORE_JOBS, 410, 415, 422, 429, 504),
        parameters=PARAMETERS,
        request_body=BODY,
    )
    def upload() -> Response:
        """Have a picture classified."""
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        # A client that sends no preference takes whatever comes with 2xx for its labels.
        plain = preferences.wait_seconds is None and not preferences.respond_async
        seconds = wait_seconds if plain else preferences.wait_seconds or 0
        key = read_idempotency_key(request)
        if key:
            # A retry joins its first job even when the queue is full; the atomic check stands behind this one.
            admission_control.check_server()
        else:
            admission_control.check(wait_seconds if plain else 0)
        job_id = new_job_id()
        with waiters.slot(wanted=seconds > 0) as may_wait, waiters.listen(job_id) as waiter:
            if plain and not may_wait:
                raise TooManyWaiters(NO_PLACE, RETRY_AFTER_SECONDS)
            admission = submission.accept(job_id, read_upload(request, limits), key)
            if seconds and not may_wait:
                preferences = preferences.without_wait()
            if not may_wait and not admission.joined:
                return _with_cache_status(responses.accepted(admission, preferences), admission)
            if admission.joined or admission.known:
                job = waiters.wait(admission.job_id, seconds if may_wait else 0)
            else:
                job = waiters.wait_for(waiter, seconds)
        if job.state.terminal and may_wait:
            response = responses.labels(job, preferences)
        else:
            response = responses.timed_out(job, preferences) if plain else responses.open_job(job, preferences)
        return _with_cache_status(response, admission)

    def _with_cache_status(response: Response, admission: Admission) -> Response:
        """Say where the answer came from (RFC 9211); a joined job was asked for before, by the same client."""
        if cached_results.enabled and not admission.joined:
            response.headers["Cache-Status"] = "topthree; hit" if admission.known else "topthree; fwd=miss"
        return response

    return blueprint

"""`POST /upload`: accepts a picture and responds with its labels or its job."""

from flask import Blueprint, Response, request

from api.client_left import client_left
from api.contract.examples import LABELS, QUEUED_JOB
from api.contract.headers import ABOUT_A_JOB, IDEMPOTENCY_KEY, PREFER
from api.contract.operation import Answer, operation
from api.contract.problems import BEFORE_JOBS
from api.contract.schemas import Labels, OpenJob
from api.job_submission import Finished, JobSubmission, Open, TimedOut
from api.picture_body import FIELD
from api.picture_form import MOST_PARTS
from api.preferences import parse_preferences
from api.responses import JobResponses
from api.uploads import (
    DEFAULT_TOP,
    MAX_DEADLINE_SECONDS,
    UploadLimits,
    read_idempotency_key,
    read_upload,
)
from shared.images.formats import NAMES
from shared.jobs.admission import MAX_TOP

PICTURE = {"type": "string", "format": "binary", "description": f"{NAMES}."}
FORM = {
    "type": "object",
    "properties": {FIELD: PICTURE},
    "required": [FIELD],
    "maxProperties": MOST_PARTS,
    "description": "The picture as a file; other fields are ignored.",
}
JSON = {
    "type": "object",
    "properties": {
        FIELD: {
            "type": "string",
            "format": "byte",
            "contentEncoding": "base64",
            "description": f"{NAMES} in base64, or as a `data:` URL in base64.",
        }
    },
    "required": [FIELD],
    "description": "Other members are ignored.",
}
BODY = {
    "required": True,
    "description": (
        "The picture as a file in a form, its bytes, or base64 in JSON. The format is detected from the bytes. A body "
        "of any other type is treated as the bytes of a picture."
    ),
    "content": {
        "multipart/form-data": {"schema": FORM, "encoding": {FIELD: {"contentType": "image/*"}}},
        "image/*": {"schema": PICTURE},
        "application/octet-stream": {"schema": PICTURE},
        "application/json": {"schema": JSON},
    },
}
PARAMETERS = (
    {
        "name": "top",
        "in": "query",
        "description": f"Number of labels, 1 to {MAX_TOP}. The default is {DEFAULT_TOP}.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP},
    },
    {
        "name": "deadline",
        "in": "query",
        "description": f"Drop the job if it has not started within this many seconds, 1 to {MAX_DEADLINE_SECONDS:,}.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_SECONDS},
    },
    PREFER,
    IDEMPOTENCY_KEY,
)
JOB_ID = {"job_id": "$response.body#/id"}
ANSWERS = {
    200: Answer("The labels.", Labels, LABELS, headers=(*ABOUT_A_JOB, "Cache-Status")),
    202: Answer(
        "The job has not ended: poll its `Location`.",
        OpenJob,
        QUEUED_JOB,
        headers=(*ABOUT_A_JOB, "Retry-After", "Cache-Status"),
        links={
            "get": {"operationId": "get_result", "parameters": JOB_ID},
            "delete": {"operationId": "delete_result", "parameters": JOB_ID},
        },
    ),
}


def upload_blueprint(submission: JobSubmission, responses: JobResponses, limits: UploadLimits) -> Blueprint:
    """Return the route."""
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
        """Classify a picture.

        The body is a form with the picture in `image`, the bytes of the picture, or JSON with them in base64.
        """
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        key = read_idempotency_key(request)
        found = submission.submit(preferences, key, lambda: read_upload(request, limits), client_left())
        match found:
            case Finished():
                return responses.labels(found)
            case Open():
                return responses.open_job(found)
            case TimedOut():
                return responses.timed_out(found)

    return blueprint

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
    received_upload,
)
from api.webhook_rules import WebhookRules
from shared.images.formats import NAMES
from shared.jobs.admission import MAX_TOP
from shared.webhook_targets import MAX_URL_LENGTH

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
    {
        "name": "min_confidence",
        "in": "query",
        "description": "Only labels with at least this confidence, 0 to 1; there may be none. The default is 0.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    },
    {
        "name": "webhook",
        "in": "query",
        "description": (
            "Send the outcome to this URL when the job has ended, signed as "
            "[Standard Webhooks](https://www.standardwebhooks.com/) describes. An https URL with a public address, "
            "unless the operator allows others. 400 if the operator has not turned webhooks on."
        ),
        # Without an example: most services would refuse it.
        "schema": {"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH},
    },
    PREFER,
    IDEMPOTENCY_KEY,
)
JOB_ID = {"job_id": "$response.body#/id"}
ANSWERS = {
    200: Answer("The labels.", Labels, LABELS, headers=(*ABOUT_A_JOB, "Cache-Status")),
    202: Answer(
        "The job is accepted: poll its `Location`. With a cached result it has ended already.",
        OpenJob,
        QUEUED_JOB,
        headers=(*ABOUT_A_JOB, "Retry-After", "Cache-Status"),
        links={
            "get": {"operationId": "get_result", "parameters": JOB_ID},
            "delete": {"operationId": "delete_result", "parameters": JOB_ID},
        },
    ),
}


def upload_blueprint(
    submission: JobSubmission, responses: JobResponses, limits: UploadLimits, webhooks: WebhookRules
) -> Blueprint:
    """Return the route."""
    blueprint = Blueprint("upload", __name__)

    @blueprint.post("/upload")
    @operation(
        "pictures",
        ANSWERS,
        problems=(*BEFORE_JOBS, 410, 413, 415, 422, 429, 504),
        parameters=PARAMETERS,
        request_body=BODY,
    )
    def upload() -> Response:
        """Classify a picture."""
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        key = read_idempotency_key(request)
        found = submission.submit(preferences, key, received_upload(request, limits, webhooks), client_left())
        match found:
            case Finished():
                return responses.labels(found)
            case Open():
                return responses.open_job(found)
            case TimedOut():
                return responses.timed_out(found)

    return blueprint

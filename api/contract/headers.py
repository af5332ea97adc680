"""Descriptions of the request and response headers."""

from typing import Any

from api.preferences import MAX_WAIT_SECONDS
from api.uploads import MAX_KEY_LENGTH


def _header(description: str, schema: dict[str, Any], example: Any, *, always: bool) -> dict[str, Any]:
    return {"description": description, "required": always, "schema": schema, "example": example}


TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
JOB_URL = {"type": "string", "format": "uri-reference", "pattern": "/result/[0-9a-f]{32}$"}

HEADERS: dict[str, dict[str, Any]] = {
    "Location": _header("Where the job is.", JOB_URL, "/result/dfd4f1afa1d0efaf592cbf83da085ec4", always=True),
    "Retry-After": _header("Come back after so many seconds.", {"type": "integer", "minimum": 1}, 1, always=True),
    "Preference-Applied": _header("Which preferences were honoured (RFC 7240).", TEXT, "respond-async", always=False),
    "Cache-Status": _header("Whether the result was known (RFC 9211).", TEXT, "topthree; fwd=miss", always=False),
    "Cache-Control": _header("Answers about jobs are not to be kept.", TEXT, "no-store", always=True),
    "Vary": _header("The answer depends on what is preferred.", TEXT, "Prefer", always=True),
    "WWW-Authenticate": _header("How to authenticate.", TEXT, "Bearer", always=False),
    "X-Request-ID": _header("What the request is called in the logs.", TEXT, "0af7651916cd43dd", always=True),
    "X-RateLimit-Limit": _header("How many uploads are allowed at a time.", NUMBER, 60, always=False),
    "X-RateLimit-Remaining": _header("How many of them are left.", NUMBER, 59, always=False),
    "X-RateLimit-Reset": _header("When they are all there again, as Unix time.", NUMBER, 1790000000, always=False),
    "ETag": _header("Of this version of the file.", TEXT, '"1790000000.0-1500000-1"', always=True),
}
# On every response.
ALWAYS = ("X-Request-ID",)
# On responses to uploads if quotas are set.
QUOTA = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# On every response about a job.
ABOUT_A_JOB = ("Location", "Preference-Applied", "Cache-Control", "Vary")

PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": (
        "RFC 7240. `respond-async`: do not wait, answer 202 with a place to ask. "
        f"`wait=N`: wait up to N seconds (at most {MAX_WAIT_SECONDS}), then answer 202. Anything else is ignored."
    ),
    "schema": TEXT,
    "examples": {
        "wait a little": {"value": "wait=20"},
        "do not wait": {"value": "respond-async"},
    },
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Text of your choice. A request with the same key joins the job of the first one.",
    # Without an example: the documentation page would send the same key with every user's pictures.
    "schema": {"type": "string", "maxLength": MAX_KEY_LENGTH},
}

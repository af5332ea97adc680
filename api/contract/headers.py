"""Descriptions of the request and response headers."""

from typing import Any

from api.preferences import MAX_WAIT_SECONDS
from api.uploads import MAX_KEY_LENGTH


def _header(description: str, schema: dict[str, Any], example: Any, *, always: bool) -> dict[str, Any]:
    return {"description": description, "required": always, "schema": schema, "example": example}


TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
LOCATION = {"type": "string", "format": "uri-reference", "pattern": "/(result|batches)/[0-9a-f]{32}$"}

HEADERS: dict[str, dict[str, Any]] = {
    "Location": _header(
        "The address of the job or the batch.", LOCATION, "/result/dfd4f1afa1d0efaf592cbf83da085ec4", always=True
    ),
    "Retry-After": _header("Try again after this many seconds.", {"type": "integer", "minimum": 1}, 1, always=True),
    "Preference-Applied": _header(
        "The preferences that were honoured (RFC 7240).", TEXT, "respond-async", always=False
    ),
    "Cache-Status": _header("`hit` if the result was cached (RFC 9211).", TEXT, "topthree; fwd=miss", always=False),
    "Cache-Control": _header("`no-store`: do not store this answer.", TEXT, "no-store", always=True),
    "Vary": _header("The answer depends on this header, such as `Prefer`.", TEXT, "Prefer", always=True),
    "WWW-Authenticate": _header("How to authenticate.", TEXT, "Bearer", always=False),
    "X-Request-ID": _header("The id of the request in the logs.", TEXT, "0af7651916cd43dd", always=True),
    "X-RateLimit-Limit": _header("The size of the quota.", NUMBER, 60, always=False),
    "X-RateLimit-Remaining": _header("Uploads left.", NUMBER, 59, always=False),
    "X-RateLimit-Reset": _header("The time of the next reset, as Unix time.", NUMBER, 1790000000, always=False),
    "ETag": _header("The version of the file.", TEXT, '"1790000000.0-1500000-1"', always=True),
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
        f"`respond-async`: do not wait. `wait=N`: wait up to N seconds, at most {MAX_WAIT_SECONDS}, then answer 202 (a "
        "batch: 200) with the current state. "
        "Anything else is ignored ([RFC 7240](https://www.rfc-editor.org/rfc/rfc7240))."
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
    "description": (
        f"Text of up to {MAX_KEY_LENGTH} characters. A request with the same key joins the first one's job; with "
        "pictures of a batch, it gets the first one's answer."
    ),
    # Without an example: the documentation page would send the same key with every user's pictures.
    "schema": {"type": "string", "maxLength": MAX_KEY_LENGTH},
}

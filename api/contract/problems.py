"""Descriptions of the error responses: the routes that return them, their meaning, an example of each."""

from typing import Any

from api.contract.headers import ALWAYS, QUOTA
from api.contract.operation import named
from api.problems import as_problem
from shared.images.formats import UNREADABLE

# Independent of the route: errors from the web server, and internal errors.
ON_EVERY_ROUTE = (400, 408, 431, 500, 501)
# Every route about jobs may return these: the key is checked first, and Redis may be unreachable.
BEFORE_JOBS = (401, 503)

MEANINGS: dict[int, tuple[str, str]] = {
    400: (
        "Bad request, such as no picture, an empty picture, a bad `top`, or a `webhook` that cannot be used.",
        "`top` must be a whole number from 1 to 10.",
    ),
    401: ("The API key is missing or wrong.", "Send a key: `Authorization: Bearer <key>`."),
    403: (
        "Only operators may do this (`OPERATORS`; without keys, the service's own machine).",
        "The name of this API key is not in `OPERATORS`.",
    ),
    404: ("No such job or batch, one of another key, or no such page.", "There is no job with this id."),
    408: (
        "The request arrives too slowly: each 64 KiB of it must arrive within 30 s.",
        "The body arrives too slowly: the next 64 KiB did not arrive within 30 s.",
    ),
    409: (
        "The job cannot be retried: it is open, has not failed, or failed because of its picture. Or it cannot be "
        "canceled: it has ended. Or the batch is closed or canceled.",
        "This job has not ended. Wait for its result.",
    ),
    410: (
        "`POST /upload`: the job was canceled or missed its deadline, or the job of the `Idempotency-Key` is gone. "
        "`/result/{job_id}`: the result was deleted or has expired (`RESULT_TTL_SECONDS`), or the record is damaged. A "
        "canceled or expired job whose record can still be read is 200. `/result/{job_id}/retry`: also if the picture "
        "is no longer kept. `/batches/{batch_id}`: it was deleted; its results also if it was canceled.",
        "The result of this job is gone.",
    ),
    413: (
        "Too many bytes or pixels, or more bytes than the service can ever store (`MAX_STORED_BYTES`).",
        "The upload is too large: a picture may have at most 20 MiB.",
    ),
    415: ("Not a picture in an accepted format.", UNREADABLE),
    422: (
        "The picture cannot be decoded or is too expensive, or the idempotency key was used for a different request.",
        "The picture cannot be decoded.",
    ),
    429: ("The quota is used up.", "Too many requests. Try again later."),
    431: (
        "The request's headers are too long.",
        "The request line and the headers are too long: at most 32 KiB are accepted.",
    ),
    500: (
        "The model failed, or the service has a bug.",
        "The service failed with an internal error, which was logged.",
    ),
    501: ("The request's transfer encoding is not supported.", "The only supported transfer encoding is `chunked`."),
    503: (
        "The queue is full or too long for a plain upload, too many requests are waiting or being received, Redis is "
        "unreachable or unsuitable, the image store is unavailable, or too many webhooks wait for their receivers. The "
        "picture was not accepted, unless `detail` says that it may have been. Send it again with the same "
        "`Idempotency-Key`.",
        "The queue is full: 10000 jobs are open; the limit is 10000. Try again later.",
    ),
    504: (
        "A plain upload has waited `WAIT_SECONDS`, or no worker has been ready for `NO_WORKER_GRACE_SECONDS`. The job "
        "is kept; see its `Location`. Or the request was accepted, but fewer replicas of Redis have it than "
        "`REDIS_MIN_REPLICAS`: send it again, with the same `Idempotency-Key`.",
        "No worker is running; the job is kept. Poll its `Location`.",
    ),
}
HEADERS_OF: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", *QUOTA),
    503: ("Retry-After",),
    504: ("Location",),
}


def component_name(status: int) -> str:
    """Return the name of a problem in the contract's `components/responses`."""
    # Not the reason phrase: Python 3.13 changed some of them.
    return f"Problem{status}"


def problem_response(status: int) -> dict[str, Any]:
    """Return the problem as an OpenAPI response."""
    meaning, sentence = MEANINGS[status]
    response: dict[str, Any] = {
        "description": meaning,
        "content": {"application/problem+json": {"schema": "Problem", "examples": named(as_problem(status, sentence))}},
    }
    response["headers"] = {name: name for name in (*HEADERS_OF.get(status, ()), *ALWAYS)}
    return response

"""Descriptions of the error responses: the routes that return them, their meaning, an example of each."""

from typing import Any

from api.contract.headers import ALWAYS, QUOTA
from api.problems import as_problem
from shared.images.formats import UNREADABLE

# Independent of the route: refusals by the web server, and internal errors.
ON_EVERY_ROUTE = (400, 413, 431, 500, 501)
# Every route about jobs may return these: the key is checked first, and Redis may be unreachable.
BEFORE_JOBS = (401, 503)

MEANINGS: dict[int, tuple[str, str]] = {
    400: ("The request cannot be understood.", "`top` must be a whole number from 1 to 10."),
    401: ("A key is needed, and none or a wrong one came.", "Send a key: `Authorization: Bearer <key>`."),
    404: ("There never was such a job, or there is no such page.", "There is no job with this id."),
    410: (
        "The job was canceled, deleted or not begun before its deadline, its time is over, or its record is damaged.",
        "The result of this job is gone.",
    ),
    413: ("Too many bytes or pixels.", "The upload is too large: a picture may have at most 20 MiB."),
    415: (
        "Not a picture of an accepted format.",
        UNREADABLE,
    ),
    422: (
        "The picture cannot be decoded, or its idempotency key came with another request.",
        "The picture cannot be decoded.",
    ),
    429: ("Too many requests of this client.", "Too many requests. Try again later."),
    431: ("The request's headers are too long.", "exceeds max_header of 32768."),
    500: ("The model failed, or the service made a mistake.", "The service made a mistake. It was logged."),
    501: ("The request's transfer encoding is not supported.", "Unsupported Transfer-Encoding."),
    503: (
        "The queue or the waiting room is full, or Redis is away or not fit for accepted jobs. An upload may have been "
        "accepted all the same if its sentence says so.",
        "The queue is full: 10000 jobs are open; the limit is 10000. Try again later.",
    ),
    504: (
        "A plain upload has waited in vain; the job goes on at its Location.",
        "The answer took too long. The job goes on: ask for it at the Location.",
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
        "content": {"application/problem+json": {"schema": "Problem", "example": as_problem(status, sentence)}},
    }
    response["headers"] = {name: name for name in (*HEADERS_OF.get(status, ()), *ALWAYS)}
    return response

"""What a response or its absence says about the service, in words for users."""

import re

import httpx

# The job or the batch is unknown, or was deleted.
GONE = (404, 410)


def cause_of(error: httpx.RequestError) -> str:
    """Return a message for users: httpx's say nothing about the phase of a timeout, or begin with an error number."""
    limits = error.request.extensions["timeout"]
    if isinstance(error, httpx.ConnectTimeout):
        return f"connecting timed out after {_seconds(limits['connect'])}"
    if isinstance(error, httpx.WriteTimeout):
        return f"sending timed out after {_seconds(limits['write'])}"
    if isinstance(error, httpx.ReadTimeout):
        return f"there was no response within {_seconds(limits['read'])}"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def is_from_topthree(answer: httpx.Response) -> bool:
    """Whether topthree answered, and not a proxy or another service."""
    return answer.status_code == 204 or _is_json(answer) or has_lines(answer)


def has_lines(answer: httpx.Response) -> bool:
    """Whether the answer consists of JSON Lines."""
    return _kind_of(answer) == "application/x-ndjson"


def _is_json(answer: httpx.Response) -> bool:
    return _kind_of(answer) in ("application/json", "application/problem+json")


def _kind_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("Content-Type", "")).partition(";")[0]


def detail_of(answer: httpx.Response) -> str:
    """Return the message of a problem, or a description of any other response."""
    if answer.is_redirect:
        return f"the service is at {answer.headers.get('Location', 'another place')}"
    if not _is_json(answer):
        return f"{answer.reason_phrase}, which is not an answer of topthree"
    try:
        return str(answer.json()["detail"])
    except (KeyError, TypeError, ValueError):
        return answer.reason_phrase


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:g} s"

"""Converts all errors to HTTP responses: RFC 9457 problems, with the original program's `error` member."""

import json
import logging
from typing import Any

import redis
from flask import Flask, Response, request, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from api.contract.schemas import Problem
from shared import errors
from shared.redis_server import reason_of

log = logging.getLogger(__name__)

STATUS_OF: dict[type[errors.TopThreeError], int] = {
    errors.NoPicture: 400,
    errors.BadRequest: 400,
    errors.PictureTooLarge: 413,
    errors.UnsupportedPicture: 415,
    errors.NotReplicated: 504,
    errors.KeyReused: 422,
    errors.NotAllowed: 403,
    errors.NotRetryable: 409,
    errors.JobEnded: 409,
    errors.UnknownJob: 404,
    errors.GoneJob: 410,
    errors.UnknownBatch: 404,
    errors.GoneBatch: 410,
    errors.BatchClosed: 409,
    errors.QuotaExceeded: 429,
    errors.QueueFull: 503,
    errors.ServerUnfit: 503,
    errors.TooManyWaiters: 503,
}
STORE_RETRY_AFTER_SECONDS = 5
UPLOAD = "upload.upload"
RETRY = "results.retry_result"
ADD = "batches.add_images"
ADVICE = "Try again later."
# Redis may have stored the job before the connection failed.
ADVICE_ON_UPLOADS = (
    "The picture may have been accepted. Try again later; with the same `Idempotency-Key` it is not classified twice."
)
ADVICE_ON_RETRIES = "Try again later: a job is not retried twice."
ADVICE_ON_ADDING = (
    "The pictures may have been accepted. Try again later; with the same `Idempotency-Key` none is classified twice."
)
ADVICE_ON = {UPLOAD: ADVICE_ON_UPLOADS, RETRY: ADVICE_ON_RETRIES, ADD: ADVICE_ON_ADDING}
INTERNAL_ERROR = "The service failed with an internal error, which was logged."
NO_SUCH_PAGE = "There is no such page. Send pictures to `POST /upload`; the web page is at `/`."
PROBLEM_TYPE = "application/problem+json"


def as_problem(status: int, detail: str, *, title: str = "") -> Problem:
    """Return a problem; `detail` is the message for the user."""
    return {
        "type": "about:blank",
        "title": title or HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "error": detail,
    }


def problem(status: int, detail: str, *, title: str = "", headers: dict[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    # With a line break, as all other JSON: a terminal's prompt follows it.
    body = json.dumps(as_problem(status, detail, title=title)) + "\n"
    response = Response(body, status, headers, content_type=PROBLEM_TYPE)
    # By default, caches may store a 404, 405, 410 or 501 (RFC 9111, 4.2.2), but any of these may be temporary.
    response.headers["Cache-Control"] = "no-store"
    return response


def register_problem_handlers(app: Flask) -> None:
    """Convert every error of `app` to a problem response."""
    app.register_error_handler(errors.TopThreeError, _domain_error)
    app.register_error_handler(redis.RedisError, _store_away)
    app.register_error_handler(OSError, _store_away)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def _domain_error(error: errors.TopThreeError) -> Response:
    headers = {}
    if isinstance(error, errors.TryLater):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, errors.NotReplicated) and error.job_id:
        headers["Location"] = url_for("results.get_result", job_id=error.job_id)
    return problem(STATUS_OF[type(error)], str(error), headers=headers)


def _store_away(error: Exception) -> Response:
    log.warning("Redis or the image store does not answer: %s", error)
    return problem(
        503,
        f"{reason_of(error)} {ADVICE_ON.get(request.endpoint or '', ADVICE)}",
        headers={"Retry-After": str(STORE_RETRY_AFTER_SECONDS)},
    )


def _http_error(error: HTTPException) -> Response:
    detail = _detail(error)
    headers: Any = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return problem(error.code or 500, detail, headers=headers)


def _detail(error: HTTPException) -> str:
    """Return the message for the user; Werkzeug's own for 404 and 405 do not say what to do."""
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return NO_SUCH_PAGE
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return f"This page takes {', '.join(sorted(error.valid_methods))}, not {request.method}."
    return str(error.description or error.name)


def _bug(error: Exception) -> Response:
    log.error("A request failed", exc_info=error)
    return problem(500, INTERNAL_ERROR)

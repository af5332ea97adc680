"""The spans of requests that create jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import request

from shared.tracing import NO_SPAN, Span, Tracing

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KEY = "topthree.span"


class RequestTraces:
    """Records each POST request as a span; clients send the others, such as polls, too often."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    @contextmanager
    def of(self, environ: "WSGIEnvironment", request_id: str) -> Iterator[Span]:
        """Record the block, which handles the request."""
        if environ["REQUEST_METHOD"] != "POST":
            yield NO_SPAN
            return
        attributes = {"http.request.method": "POST", "topthree.request_id": request_id}
        with self._tracing.request(environ.get("HTTP_TRACEPARENT", ""), attributes) as span:
            environ[KEY] = span
            yield span


def name_span() -> None:
    """Name the span of Flask's current request by its route, because the number of paths is unbounded."""
    span: Span = request.environ.get(KEY, NO_SPAN)
    if request.url_rule is not None:
        span.rename(f"POST {request.url_rule.rule}")
        span.describe({"http.route": request.url_rule.rule})


def note_status(span: Span, status: str) -> None:
    """Add the status of the answer (`200 OK`); from 500 up the request has failed."""
    span.describe({"http.response.status_code": int(status[:3])})
    if status >= "500":
        span.fail(status)

"""WSGI middleware around the application: request id, common headers, traces, access log.

`create_app` adds it, so that the application is safe behind any web server.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from api.access_log import AccessLog
from api.headers import CommonHeaders
from api.request_id import choose_request_id
from api.traces import RequestTraces, note_status
from shared.log import begin_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Middleware:
    """Sets the request id, adds the common headers to the response, traces and logs the request."""

    def __init__(
        self, app: "WSGIApplication", headers: CommonHeaders, traces: RequestTraces, access_log: AccessLog
    ) -> None:
        self._app = app
        self._headers = headers
        self._traces = traces
        self._access_log = access_log

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle a request."""
        began = time.monotonic()
        name = choose_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        common = self._headers.of(name, environ.get("HTTP_ORIGIN"), "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            note_status(span, status)
            self._access_log.write(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), status, headers, began)
            return start_response(status, headers + common, exc_info)

        with self._traces.of(environ, name) as span:
            # From here on, every log line carries the ids of request and trace, and so does the job.
            begin_request(name, span.traceparent)
            return self._app(environ, start)

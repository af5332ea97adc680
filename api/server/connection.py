"""One client connection: the server's own responses, lingering close after refusals, close during a drain."""

import socket
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, Task, WSGITask
from werkzeug.http import HTTP_STATUS_CODES

from api.problems import PROBLEM_TYPE, problem_body
from api.request_id import HEADER
from api.server.request_parser import RequestParser, refusal_of
from shared.log import begin_request

# A refusal is sent while the client may still be sending its body: closing at once would reset the connection
# before the client has read the response (RFC 9112, 9.6).
LINGER_SECONDS = 2.0


class Answer(Task):  # type: ignore[misc]
    """Base of the tasks that respond to one request: the application's response, or the server's own."""

    def build_response_header(self) -> bytes:
        """Close the connection during a drain, and add the common headers to the server's own responses."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        if HEADER not in [name for name, _ in self.response_headers]:
            self._do_as_middleware()
        return bytes(super().build_response_header())

    def _do_as_middleware(self) -> None:
        """Add the common headers and log the request: it was refused before it reached the middleware."""
        request, adj = self.request, self.channel.adj
        begin_request(request.request_id)
        length = [] if self.content_length is None else [("Content-Length", str(self.content_length))]
        adj.access_log.write(request.command, request.path, self.status, length, request.began)
        self.response_headers += adj.headers.of(
            request.request_id, request.headers.get("ORIGIN"), "ACCESS_CONTROL_REQUEST_METHOD" in request.headers
        )


class ApplicationAnswer(Answer, WSGITask):  # type: ignore[misc]
    """The application's response."""


class OwnAnswer(Answer, ErrorTask):  # type: ignore[misc]
    """The server's own response to a refused request, or to an error outside the application's error handlers."""

    def execute(self) -> None:
        """Respond with a problem, also for errors of waitress itself."""
        refusal = refusal_of(self.request.error)
        title = refusal.title or HTTP_STATUS_CODES[refusal.status]
        body = problem_body(refusal.status, refusal.detail, title=title).encode()
        self.status = f"{refusal.status} {title}"
        self.response_headers += [("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store"), *refusal.headers]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection and its sequence of requests."""

    parser_class = RequestParser
    task_class = ApplicationAnswer
    error_task_class = OwnAnswer
    _refused = False
    _linger_until = 0.0
    # Bytes received after the request that is being processed.
    _ahead = b""
    # Attributes of waitress, which is untyped.
    request: Any
    requests: Any
    sent_continue: Any

    @property
    def receiving_since(self) -> float | None:
        """When the request that is being received started, on the monotonic clock; None without one."""
        return None if self.request is None else self.request.began

    @property
    def receiving_bytes(self) -> int:
        """How many bytes of the current request's body have been received."""
        return 0 if self.request is None else self.request.body_bytes_received

    @property
    def busy(self) -> bool:
        """Whether a request is being processed or a response is being sent."""
        return bool(self.requests or self._ahead or self.total_outbufs_len or self.close_when_flushed)

    @property
    def lingering(self) -> bool:
        """Whether the connection only discards the rest of a refused body."""
        return self._linger_until > 0

    def service(self) -> None:
        """Process the oldest request; waitress calls it in a thread of its pool."""
        self._refused = self._refused or bool(self.requests and self.requests[0].error)
        super().service()
        if self._ahead and self.connected:
            self.server.pipelined.append(self)
            self.server.pull_trigger()

    def readable(self) -> bool:
        return self.lingering or bool(not self._ahead and super().readable())

    def writable(self) -> bool:
        if self.lingering:
            return bool(self.will_close) or time.monotonic() > self._linger_until
        return bool(super().writable())

    def received(self, data: bytes) -> bool:
        """Parse the received data, one request at a time; return whether the connection continues.

        waitress parses all requests in it at once: with 150 requests in each block of 8 KiB, from many clients, all
        others waited for seconds.
        """
        if self.lingering:
            return False
        self._ahead += data
        return self._parse_ahead()

    def begin_next(self) -> bool:
        """Start the next pipelined request; return whether one is being processed, whose end wakes the loop."""
        self._parse_ahead()
        return bool(self.requests)

    def _parse_ahead(self) -> bool:
        """Parse up to the end of the next request; `HTTPChannel.received` parses all data at once."""
        with self.requests_lock:
            # Data after a refused request may be its body, and nobody reads responses on a closed connection.
            if self._refused or self.will_close or self.close_when_flushed or not self.connected:
                self._ahead = b""
                return False
            while self._ahead and not self.requests:
                self._parse_some()
        return True

    def _parse_some(self) -> None:
        if self.request is None:
            self.request = self.parser_class(self.adj)
        used = self.request.received(self._ahead)
        self._ahead = self._ahead[used:]
        if self.request.expect_continue and self.request.headers_finished and not self.sent_continue:
            self.send_continue()
        if self.request.completed:
            self.sent_continue = False
            if not self.request.empty:
                self.requests.append(self.request)
                self.server.add_task(self)
            self.request = None

    def handle_write(self) -> None:
        """Send pending output; close the connection when the linger time is over."""
        if self.lingering:
            self.handle_close()
        elif self._refused and self.close_when_flushed and not self.will_close:
            self._send_refusal()
        else:
            super().handle_write()

    def _send_refusal(self) -> None:
        self._flush_exception(self._flush_some)
        if self.total_outbufs_len or self.will_close or not self.connected:
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()
            return
        self._linger_until = time.monotonic() + LINGER_SECONDS
        self.close_when_flushed = False


def is_idle(connection: Any) -> bool:
    """Whether the connection can be closed without losing a request or response."""
    return not (connection.busy or connection.lingering or connection.receiving_since)

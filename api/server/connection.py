"""One client's connection: the server's own answers, time to read a refusal, an end when the server drains."""

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
# before the client has read the answer (RFC 9112, 9.6).
LINGER_SECONDS = 2.0


class Answer(Task):  # type: ignore[misc]
    """The answering of one request, by the application or by the server itself."""

    def build_response_header(self) -> bytes:
        """Tell the client that the connection ends, if the server does; treat the server's own answers as others."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        if HEADER not in [name for name, _ in self.response_headers]:
            self._do_as_middleware()
        return bytes(super().build_response_header())

    def _do_as_middleware(self) -> None:
        """Add the common headers and log the request: it was refused before it came to the application."""
        request, adj = self.request, self.channel.adj
        begin_request(request.request_id)
        length = [] if self.content_length is None else [("Content-Length", str(self.content_length))]
        adj.access_log.write(request.command, request.path, self.status, length, request.began)
        self.response_headers += adj.headers.of(
            request.request_id, request.headers.get("ORIGIN"), "ACCESS_CONTROL_REQUEST_METHOD" in request.headers
        )


class ApplicationAnswer(Answer, WSGITask):  # type: ignore[misc]
    """What the application answers."""


class OwnAnswer(Answer, ErrorTask):  # type: ignore[misc]
    """The answer to a request that was refused, or that even the application's last resort failed at."""

    def execute(self) -> None:
        """Answer with a problem, also where waitress made the error itself."""
        refusal = refusal_of(self.request.error)
        title = refusal.title or HTTP_STATUS_CODES[refusal.status]
        body = problem_body(refusal.status, refusal.detail, title=title).encode()
        self.status = f"{refusal.status} {title}"
        self.response_headers += [("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store"), *refusal.headers]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection over its requests."""

    parser_class = RequestParser
    task_class = ApplicationAnswer
    error_task_class = OwnAnswer
    _refused = False
    _linger_until = 0.0
    # What was received behind the request that is being answered.
    _ahead = b""
    # waitress' own, untyped.
    request: Any
    requests: Any
    sent_continue: Any

    @property
    def receiving_since(self) -> float | None:
        """When the request that is being received began, on the monotonic clock."""
        return None if self.request is None else self.request.began

    @property
    def receiving_bytes(self) -> int:
        """How much there is of the body that is being received."""
        return 0 if self.request is None else self.request.body_bytes_received

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or an answer being sent."""
        return bool(self.requests or self._ahead or self.total_outbufs_len or self.close_when_flushed)

    @property
    def lingering(self) -> bool:
        """Whether only the rest of a refused body is still read, and thrown away."""
        return self._linger_until > 0

    def service(self) -> None:
        """Answer the oldest request; waitress calls it in a thread of its pool."""
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
        """Take what has come, one request at a time; return whether the connection goes on.

        waitress would parse all of it: 150 requests in a piece of 8 KiB, from each of many clients, kept all others
        waiting for seconds.
        """
        if self.lingering:
            return False
        self._ahead += data
        return self._parse_ahead()

    def begin_next(self) -> bool:
        """Begin the next request of a pipeline; return whether one is being answered, whose end wakes the loop."""
        self._parse_ahead()
        return bool(self.requests)

    def _parse_ahead(self) -> bool:
        """Parse up to the end of the next request, as `HTTPChannel.received` does with all that has come."""
        with self.requests_lock:
            # What was sent behind a refused request may be its body, and nobody reads answers of a closed connection.
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
        """Send what there is to send."""
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
    """Whether nothing is lost when the connection is closed now."""
    return not (connection.busy or connection.lingering or connection.receiving_since)

"""One client connection: its requests one after the other, each answered by the application or refused."""

import logging
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11

from api.access_log import AccessLog
from api.headers import CommonHeaders
from api.problems import MISTAKE, PROBLEM_TYPE, problem_body
from api.request_id import choose_request_id
from api.server.environ import environ_of
from api.server.pace import BLOCK_BYTES, Pace, take_turns
from api.server.receiving import Receiving
from api.server.request_body import RequestBody
from api.server_hints import CLIENT_LEFT
from shared.log import begin_request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    Headers = list[tuple[str, str]]

MOST_HEAD_BYTES = 32 * 1024
HEAD_BLOCK_BYTES = 8 * 1024
IDLE_SECONDS = 60.0
# How long the rest of a refused body is received and discarded: closing at once would reset the connection before the
# client has read the response (RFC 9112, 9.6).
LINGER_SECONDS = 2.0
LINGER_BLOCKS = 512
SLOW_HEAD = "The headers of the request did not arrive in time."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """What all connections share: the application, and what the server's own responses need."""

    app: "WSGIApplication"
    headers: CommonHeaders
    access_log: AccessLog
    receiving: Receiving
    base_environ: dict[str, Any]


class Connection:
    """A connection; `run` serves it, in a green thread of its own."""

    def __init__(self, client: socket.socket, address: str, site: Site) -> None:
        self._socket = client
        self._address = address
        self._site = site
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES - HEAD_BLOCK_BYTES)
        self._pace = Pace(client)
        self._last = False
        self._body: RequestBody | None = None
        # Whether no byte of a request has arrived yet.
        self.idle = True

    @property
    def receiving(self) -> bool:
        """Whether the rest of a request is still to come."""
        return not self.idle and (self._body is None or not self._body.complete)

    def run(self) -> None:
        """Serve requests until either side closes the connection."""
        try:
            while self._serve_request():
                self._body, self.idle = None, not self._http.trailing_data[0]
        except OSError:
            # The client has left, or takes no more bytes.
            pass
        except Exception:
            log.exception("A response could not be completed")
        finally:
            self._socket.close()

    def finish(self) -> None:
        """Close the connection after the current request."""
        self._last = True

    def abandon(self) -> None:
        """Close the connection now."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def client_left(self) -> bool:
        """Return whether the client has closed the connection, or its half of it."""
        self._socket.settimeout(0)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _serve_request(self) -> bool:
        """Serve one request; return whether another one may follow."""
        try:
            request = self._read_head()
        except h11.RemoteProtocolError as error:
            return self._refuse(error.error_status_hint, f"The request cannot be read: {error}.")
        except TimeoutError:
            return False if self.idle else self._refuse(HTTPStatus.REQUEST_TIMEOUT, SLOW_HEAD)
        if request is None:
            return False
        try:
            _check_framing(request)
            environ = environ_of(request, self._site.base_environ, self._address)
            chunked = "HTTP_TRANSFER_ENCODING" in environ
            self._body = RequestBody(self._http, self._socket, self._pace, self._site.receiving, chunked)
        except (ValueError, h11.RemoteProtocolError) as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, f"The request cannot be read: {error}.", request)
        environ["wsgi.input"] = self._body
        environ[CLIENT_LEFT] = self.client_left
        try:
            self._call_application(environ, self._body)
        finally:
            self._body.end()
        return self._next_cycle(self._body)

    def _read_head(self) -> h11.Request | None:
        """Return the next request without its body, None if the client has left."""
        self._pace.begin()
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self.idle:
                self._socket.settimeout(IDLE_SECONDS)
                received = self._socket.recv(HEAD_BLOCK_BYTES)
                # Some clients send an empty line after a body (RFC 9112, 2.2).
                data = received.lstrip(b"\r\n")
                if received and not data:
                    continue
                self.idle = not data
                self._pace.begin()
            else:
                data = self._pace.receive(HEAD_BLOCK_BYTES)
            self._http.receive_data(data)
        self.idle = False
        return event if isinstance(event, h11.Request) else None

    def _call_application(self, environ: "WSGIEnvironment", body: RequestBody) -> None:
        head = b""

        def start_response(status: str, headers: "Headers", exc_info: Any = None) -> Any:
            nonlocal head
            if exc_info and self._http.our_state is not h11.SEND_RESPONSE:
                raise exc_info[1]
            head = self._head(status, headers, last=not body.complete)
            return self._pace.send

        try:
            result = self._site.app(environ, start_response)
        except Exception:
            log.exception("A request failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, MISTAKE)
            return
        self._send(head, result)

    def _send(self, head: bytes, result: Iterable[bytes]) -> None:
        try:
            for piece in result:
                self._pace.send(head, *(self._http.send_with_data_passthrough(h11.Data(data=piece)) or ()))
                head = b""
        finally:
            if hasattr(result, "close"):
                result.close()
        head += self._http.send(h11.EndOfMessage())
        if head:
            self._pace.send(head)

    def _head(self, status: str, headers: "Headers", last: bool) -> bytes:
        """Return the head of a response; the connection ends after the `last` one."""
        closing = [("Connection", "close")] if last or self._last else []
        every = [*headers, *closing, ("Date", formatdate(usegmt=True))]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every]
        return self._http.send(h11.Response(status_code=int(status[:3]), reason=status[4:], headers=encoded))

    def _refuse(self, status: int, detail: str, request: h11.Request | None = None) -> bool:
        """Respond with a problem, and close the connection; returns False."""
        began = time.monotonic()
        given = {} if request is None else dict(request.headers)
        request_id = choose_request_id(given.get(b"x-request-id", b"").decode("latin-1"))
        begin_request(request_id)
        body = problem_body(status, detail).encode()
        headers = [
            ("Content-Type", PROBLEM_TYPE),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *self._site.headers.of(request_id, given.get(b"origin", b"").decode("latin-1") or None, False),
        ]
        line = f"{status} {HTTPStatus(status).phrase}"
        method, path = (request.method, request.target.partition(b"?")[0]) if request else (b"-", b"-")
        self._site.access_log.write(method.decode("latin-1"), path.decode("latin-1"), line, headers, began)
        is_head = request is not None and request.method == b"HEAD"
        self._send(self._head(line, headers, last=True), [] if is_head else [body])
        self._linger()
        return False

    def _next_cycle(self, body: RequestBody) -> bool:
        """Prepare for the next request; return whether there may be one."""
        if not body.complete:
            self._linger()
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        pipelined = bool(self._http.trailing_data[0])
        self._http.start_next_cycle()
        if pipelined:
            # Other connections have their turn in between.
            take_turns()
        return True

    def _linger(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER_SECONDS
        for _ in range(LINGER_BLOCKS):
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            if not self._socket.recv(BLOCK_BYTES):
                return
            take_turns()


def _check_framing(request: h11.Request) -> None:
    """Raise ValueError if the end of the body is ambiguous (RFC 9112, 6.1)."""
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise ValueError("Transfer-Encoding with HTTP/1.0 or Content-Length is not accepted")

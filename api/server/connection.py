"""One client connection: its requests one after the other, each answered by the application or refused."""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11

from api.client_left import CLIENT_LEFT
from api.peer_user import PEER_USER, user_of_peer
from api.problems import INTERNAL_ERROR, problem
from api.server.environ import announces_body, environ_of, flaw_of
from api.server.pace import BLOCK_BYTES, Pace, yield_to_others
from api.server.receiving import Receiving
from api.server.request_body import RequestBody
from api.server.turns import Turns

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

MOST_HEAD_BYTES = 32 * 1024
HEAD_BLOCK_BYTES = 8 * 1024
IDLE_SECONDS = 60.0
# How long the rest of a refused body is received and discarded: closing at once would reset the connection before the
# client has read the response (RFC 9112, 9.6).
LINGER_SECONDS = 2.0
LINGER_BLOCKS = 512
SLOW_HEAD = "The headers of the request did not arrive in time."
BAD_HEAD = "The request line or a header is malformed, or `Host` is missing."
BAD_HEADS = {
    431: f"The request line and the headers are too long: at most {MOST_HEAD_BYTES // 1024} KiB are accepted.",
    501: "The only supported transfer encoding is `chunked`.",
}
# Requests without a body, which do not wait for their turn: health checks, polls, the page.
SHORT = (b"GET ", b"HEAD ")
# The environment for a request whose headers could not be parsed.
UNREAD = {"REQUEST_METHOD": "-", "PATH_INFO": "-"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """What all connections share.

    `middleware` wraps the server's own error responses as it wraps the application: headers, request id, access log.
    `on_refusal` is called with the status of each of them.
    """

    app: "WSGIApplication"
    middleware: "Callable[[WSGIApplication], WSGIApplication]"
    on_refusal: Callable[[int], None]
    receiving: Receiving
    turns: Turns
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
        return not self.idle and not self._has_whole_request

    def run(self) -> None:
        """Serve requests until the client or the server closes the connection."""
        try:
            while self._serve_request():
                self._body, self.idle = None, not self._http.trailing_data[0]
        except OSError:
            # The client has closed the connection, or does not read.
            pass
        except Exception:
            log.exception("A response could not be completed")
        finally:
            self._socket.close()

    def finish(self) -> None:
        """Close the connection after the current response."""
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
            status = error.error_status_hint
            return self._refuse(status, BAD_HEADS.get(status, BAD_HEAD), UNREAD)
        except TimeoutError:
            return False if self.idle else self._refuse(HTTPStatus.REQUEST_TIMEOUT, SLOW_HEAD, UNREAD)
        if request is None:
            return False
        environ = environ_of(request, self._site.base_environ, self._address)
        if flaw := flaw_of(request):
            return self._refuse(HTTPStatus.BAD_REQUEST, flaw, environ)
        if not announces_body(request):
            # Take the event that ends the request; it needs no more data.
            self._http.next_event()
        self._body = RequestBody(self._http, self._socket, self._pace, self._site.receiving)
        environ["wsgi.input"] = self._body
        environ[CLIENT_LEFT] = self.client_left
        environ[PEER_USER] = partial(user_of_peer, self._socket)
        try:
            self._call(self._site.app, environ)
        finally:
            self._body.close()
        return self._next_cycle()

    def _read_head(self) -> h11.Request | None:
        """Return the next request without its body; None if the client has left."""
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
                if not data.startswith(SHORT):
                    self._site.turns.take()
                self._pace.begin()
            else:
                data = self._pace.receive(HEAD_BLOCK_BYTES)
            self._http.receive_data(data)
        self.idle = False
        return event if isinstance(event, h11.Request) else None

    def _refuse(self, status: int, detail: str, environ: "WSGIEnvironment") -> bool:
        """Respond with a problem instead of the application, and close the connection; return False."""
        self._site.on_refusal(status)
        self._call(self._site.middleware(problem(status, detail)), environ)
        return self._next_cycle()

    def _call(self, app: "WSGIApplication", environ: "WSGIEnvironment") -> None:
        """Send the response of `app`; if it fails, that of an internal error."""
        if self._responds(app, environ):
            return
        self._site.on_refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        failure = problem(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR)
        # The middleware may be what has failed.
        if not self._responds(self._site.middleware(failure), environ):
            self._responds(failure, environ)

    def _responds(self, app: "WSGIApplication", environ: "WSGIEnvironment") -> bool:
        """Send the response of `app`; return False if it failed and nothing was sent."""
        head = b""

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal head
            if exc_info and head:
                raise exc_info[1]
            head = self._head(status, headers)
            return self._pace.send

        try:
            result = app(environ, start_response)
        except Exception:
            if head:
                raise
            log.exception("A request failed")
            return False
        self._send(head, result)
        return True

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

    def _head(self, status: str, headers: list[tuple[str, str]]) -> bytes:
        """Return the head of a response; it closes the connection if the request's body was not read to its end."""
        closes = self._last or not self._has_whole_request
        every = [*headers, ("Date", formatdate(usegmt=True)), *([("Connection", "close")] if closes else [])]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every]
        return self._http.send(h11.Response(status_code=int(status[:3]), reason=status[4:], headers=encoded))

    @property
    def _has_whole_request(self) -> bool:
        return self._body is not None and self._body.complete

    def _next_cycle(self) -> bool:
        """Prepare for the next request; return whether there may be one."""
        if not self._has_whole_request:
            self._linger()
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        pipelined = bool(self._http.trailing_data[0])
        self._http.start_next_cycle()
        if pipelined:
            yield_to_others()
        return True

    def _linger(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER_SECONDS
        for _ in range(LINGER_BLOCKS):
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            if not self._socket.recv(BLOCK_BYTES):
                return
            yield_to_others()

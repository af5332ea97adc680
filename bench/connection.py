"""One HTTP/1.1 connection of the load generator: sends prebuilt bytes, reads whole answers, never waits."""

import re
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when the connection broke."""

    status: int
    head: bytes
    body: bytes


Done = Callable[["Connection", Answer], None]


class Connection:
    """Kept alive between requests, opened again where the server closes it."""

    def __init__(self, port: int, epoll: select.epoll, by_file: dict[int, "Connection"]) -> None:
        self._port = port
        self._epoll = epoll
        self._by_file = by_file
        self._socket: socket.socket | None = None
        self._out: list[memoryview] = []
        self._in = b""
        self._done: Done | None = None

    def request(self, parts: tuple[bytes, ...], done: Done) -> None:
        """Send a request and call `done` with its answer."""
        self._done = done
        self._in = b""
        self._out = [memoryview(part) for part in parts]
        if self._socket is None:
            self._open()
        self._send()

    def handle(self, events: int) -> None:
        """Go on where the socket is ready."""
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._receive()
        if events & select.EPOLLOUT and self._out and self._socket is not None:
            self._send()

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        if self._socket is not None:
            del self._by_file[self._socket.fileno()]
            self._epoll.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self._out = []

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._by_file[self._socket.fileno()] = self
        self._epoll.register(self._socket, select.EPOLLIN)

    def _send(self) -> None:
        assert self._socket is not None
        waited = len(self._out) > 0
        try:
            while self._out:
                sent = self._socket.sendmsg(self._out)
                while self._out and sent >= len(self._out[0]):
                    sent -= len(self._out.pop(0))
                if sent:
                    self._out[0] = self._out[0][sent:]
        except BlockingIOError:
            self._epoll.modify(self._socket, select.EPOLLIN | select.EPOLLOUT)
            return
        except OSError:
            # The answer to a refused request may be there all the same: reading tells.
            self._out = []
        if waited:
            self._epoll.modify(self._socket, select.EPOLLIN)

    def _receive(self) -> None:
        assert self._socket is not None
        ended = False
        with suppress(BlockingIOError):
            try:
                data = self._socket.recv(262144)
                self._in += data
                ended = not data
            except ConnectionError:
                ended = True
        answer = _read_answer(self._in, ended)
        if answer is None and not ended:
            return
        if ended or self._out or (answer is not None and _CLOSE.search(answer.head)):
            self.close()
        if self._done is not None:
            done, self._done = self._done, None
            done(self, answer or Answer(0, b"", b""))


def _read_answer(data: bytes, ended: bool) -> Answer | None:
    """Return the answer once it is whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, body = data[:end], data[end + 4 :]
    length = _LENGTH.search(head)
    if length is not None:
        whole = len(body) >= int(length.group(1))
    else:
        whole = body.endswith(b"0\r\n\r\n") if _CHUNKED.search(head) else ended
    return Answer(int(head[9:12]), head, body) if whole else None

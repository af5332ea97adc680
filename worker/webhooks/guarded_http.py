"""An HTTP client that connects only to checked addresses, with limits of time and of the size of the answer."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.bounded_call import Helpers, error_within
from shared.webhook_targets import TargetRefused, WebhookTarget, is_public, parse_target

# Time limit for resolving the name, connecting and the TLS handshake together.
CONNECT_SECONDS = 5.0
# Time limit for all of it, until the headers of the answer have arrived.
TOTAL_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024
# How many addresses of a name are tried.
MAX_ADDRESSES = 4

Resolve = Callable[[str, int, float], Sequence[str]]
Connect = Callable[[str, int, float], socket.socket]


class NoAnswer(Exception):
    """The receiver cannot be reached, or does not answer in time; the message says why."""


class Resolver:
    """Resolves names in threads, because the system's resolver has no time limit."""

    def __init__(self) -> None:
        self._threads = Helpers()

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Return the addresses of a host, each once. Raises OSError."""
        future = self._threads.submit(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        if error := error_within(future, seconds):
            raise error
        return list(dict.fromkeys(str(address[0]) for *_, address in future.result()))


def connect_to(address: str, port: int, seconds: float) -> socket.socket:
    """Connect to a numeric address. Raises OSError."""
    return socket.create_connection((address, port), timeout=seconds)


class GuardedHttp:
    """Sends requests to public addresses, and to any address of the hosts that the operator allows.

    A name is resolved once for each request, and the connection goes to one of the addresses that were checked. So it
    does no harm if the name resolves to another address later. Redirects are not followed, and proxies are not used.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str],
        resolve: Resolve | None = None,
        connect: Connect = connect_to,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._resolve = resolve or Resolver()
        self._connect = connect
        self._tls = tls or ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a POST request and return the status of the answer.

        Raises:
            TargetRefused: the URL or one of its addresses is not allowed.
            NoAnswer: there was no answer in time, or it was not HTTP.
        """
        target = parse_target(url, self._allowed_hosts)
        deadline = time.monotonic() + TOTAL_SECONDS
        try:
            with self._open(target) as connection:
                connection.settimeout(_left(deadline))
                connection.sendall(_request(target, headers, body))
                return _read_status(connection, deadline)
        except TimeoutError:
            raise NoAnswer("it did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error

    def _open(self, target: WebhookTarget) -> socket.socket:
        """Return a connection to a checked address, over TLS if the target wants it."""
        deadline = time.monotonic() + CONNECT_SECONDS
        addresses = self._resolve(target.host, target.port, CONNECT_SECONDS)
        # Every address must be public: a name with both public and private addresses may be an attack.
        if not target.allowed and not all(is_public(address) for address in addresses):
            raise TargetRefused("its address is not public")
        connection = self._connect_any(addresses[:MAX_ADDRESSES], target.port, deadline)
        if not target.tls:
            return connection
        try:
            connection.settimeout(_left(deadline))
            return self._tls.wrap_socket(connection, server_hostname=target.host.rstrip("."))
        except BaseException:
            connection.close()
            raise

    def _connect_any(self, addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
        error: OSError = OSError("its name has no address")
        for place, address in enumerate(addresses):
            try:
                return self._connect(address, port, _left(deadline) / (len(addresses) - place))
            except OSError as reason:
                error = reason
        raise error


def _left(deadline: float) -> float:
    """Return the seconds until `deadline`; TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _request(target: WebhookTarget, headers: Mapping[str, str], body: bytes) -> bytes:
    own = {"Host": target.authority, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (own | dict(headers)).items()]
    return "\r\n".join([f"POST {target.path} HTTP/1.1", *lines, "", ""]).encode("ascii") + body


def _read_status(connection: socket.socket, deadline: float) -> int:
    with io.BufferedReader(_BoundedReader(connection, deadline)) as reader:
        while True:
            answer = http.client.HTTPResponse(_Source(reader), method="POST")  # type: ignore[arg-type]
            answer.begin()
            # Skip interim answers such as 103, which precede the final one (RFC 9110, 15.2). A 101 counts as final: the
            # request did not ask for another protocol.
            if not answer.status < HTTPStatus.OK or answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
                return answer.status


class _Source:
    """Replaces the socket of HTTPResponse: all answers read from one buffer, which stays open when one is closed."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, *_: Any) -> "_Source":
        return self

    def readline(self, size: int = -1) -> bytes:
        return self._reader.readline(size)

    def close(self) -> None:
        """Leave the buffer open for the next answer."""

    def flush(self) -> None:
        """Do nothing: there is nothing to write."""


class _BoundedReader(io.RawIOBase):
    """Reads at most MAX_ANSWER_BYTES until a deadline, however slowly they arrive."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        if not view:
            raise OSError("its answer is too long")
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(view)
        self._left -= count
        return count

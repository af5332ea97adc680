"""HTTP as no library would send it: bytes onto a connection, and whatever comes back."""

import re
import socket
from contextlib import suppress
from pathlib import Path

ANSWER_SECONDS = 10


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)


def exchange(port: int, request: bytes) -> bytes:
    """Send `request` and return all that comes until the server closes; TimeoutError if it does not."""
    with connect(port) as connection:
        # A server that refuses early may close before it has taken everything.
        with suppress(ConnectionError):
            connection.sendall(request)
        return read_all(connection)


def answer_within(seconds: float, port: int, request: bytes) -> bytes:
    """Send `request` and return the first part of the answer; b"" if none arrives within `seconds`."""
    with connect(port) as connection:
        connection.sendall(request)
        connection.settimeout(seconds)
        try:
            return connection.recv(65536)
        except TimeoutError:
            return b""


def read_all(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
    return found


def statuses(answers: bytes) -> list[int]:
    """Return the statuses of one or more answers."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


def head(*lines: str, method: str = "POST", path: str = "/upload", version: str = "1.1") -> bytes:
    """Return the head of a request after which the connection is to end."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def established(port: int) -> int:
    """Return how many connections the server has accepted (state 01 in Linux' table, in hexadecimal)."""
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    return sum(1 for line in lines if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01")

"""No webhook reaches a private address, and none is waited for too long."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from shared.webhook_targets import TargetRefused, is_public, parse_target
from worker.webhooks import guarded_http
from worker.webhooks.guarded_http import GuardedHttp, NoAnswer

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
NAME = "https://name.example/hook"
# Each a URL, and what its host resolves to; "" stands for "as the system's resolver reads a number".
PRIVATE: list[tuple[str, Sequence[str]]] = [
    # IPv4 in every notation
    ("https://127.0.0.1/", [""]),
    ("https://127.1/", [""]),
    ("https://2130706433/", [""]),
    ("https://0x7f000001/", [""]),
    ("https://0x7f.0.0.1/", [""]),
    ("https://0X7F.1/", [""]),
    ("https://017700000001/", [""]),
    ("https://0177.0.0.1/", [""]),
    ("https://127.0.0.1./", [""]),
    ("https://127.000.000.001/", [""]),
    ("https://a.b.0x1/", [""]),
    ("https://0/", [""]),
    ("https://0.0.0.0/", [""]),
    ("https://10.0.0.1/", [""]),
    ("https://172.16.5.4/", [""]),
    ("https://192.168.1.1/", [""]),
    ("https://100.64.0.1/", [""]),
    ("https://100.100.100.200/", [""]),
    ("https://169.254.169.254/latest/meta-data/", [""]),
    ("https://192.0.0.192/", [""]),
    ("https://168.63.129.16/", [""]),
    ("https://198.18.0.1/", [""]),
    ("https://224.0.0.1/", [""]),
    ("https://240.0.0.1/", [""]),
    ("https://255.255.255.255/", [""]),
    # IPv6, and IPv4 inside it
    ("https://[::1]/", [""]),
    ("https://[::]/", [""]),
    ("https://[0:0:0:0:0:0:0:1]/", [""]),
    ("https://[::127.0.0.1]/", [""]),
    ("https://[::ffff:127.0.0.1]/", [""]),
    ("https://[::ffff:7f00:1]/", [""]),
    ("https://[::ffff:169.254.169.254]/", [""]),
    ("https://[2002:7f00:1::]/", [""]),
    ("https://[2002:a9fe:a9fe::1]/", [""]),
    ("https://[64:ff9b::127.0.0.1]/", [""]),
    ("https://[64:ff9b:1::10.0.0.1]/", [""]),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", [""]),
    ("https://[fe80::1]/", [""]),
    ("https://[fe80::1%25eth0]/", [""]),
    ("https://[fe80::1%eth0]/", [""]),
    ("https://[fc00::1]/", [""]),
    ("https://[fd00:ec2::254]/", [""]),
    ("https://[fec0::1]/", [""]),
    ("https://[ff02::1]/", [""]),
    ("https://[2001:db8::1]/", [""]),
    # Names
    ("https://localhost/", ["127.0.0.1", "::1"]),
    ("https://LOCALHOST./", ["127.0.0.1"]),
    ("https://metadata.google.internal/", ["169.254.169.254"]),
    ("https://127.0.0.1.nip.io/", ["127.0.0.1"]),
    (NAME, ["10.0.0.1"]),
    (NAME, [PUBLIC, "10.0.0.1"]),
    (NAME, ["127.0.0.1", PUBLIC]),
    (NAME, [PUBLIC_6, "fd00::1"]),
    (NAME, ["::ffff:10.0.0.1"]),
    (NAME, ["fe80::1%eth0"]),
    (NAME, ["2002:0a00:0001::"]),
    (NAME, ["64:ff9b::a00:1"]),
    (NAME, ["no address"]),
    # User info, schemes, ports, strange spellings
    ("https://93.184.216.34@127.0.0.1/", [""]),
    ("https://name.example@127.0.0.1/", [""]),
    ("https://127.0.0.1@name.example/", [PUBLIC]),
    ("https://name.example:secret@name.example/", [PUBLIC]),
    ("http://name.example/", [PUBLIC]),
    ("http://127.0.0.1/", [""]),
    ("HTTP://name.example/", [PUBLIC]),
    ("gopher://127.0.0.1:6379/_FLUSHALL", [""]),
    ("file:///etc/passwd", [""]),
    ("ftp://name.example/", [PUBLIC]),
    ("//name.example/", [PUBLIC]),
    ("name.example", [PUBLIC]),
    ("https:name.example", [PUBLIC]),
    ("https://", [PUBLIC]),
    ("https:///etc/passwd", [PUBLIC]),
    ("", [PUBLIC]),
    ("https://name.example:22/", [PUBLIC]),
    ("https://name.example:6379/", ["10.0.0.1"]),
    ("https://name.example:80/", [PUBLIC]),
    ("https://name.example:0/", [PUBLIC]),
    ("https://name.example:65536/", [PUBLIC]),
    ("https://name.example:x/", [PUBLIC]),
    ("https://name.example\\@127.0.0.1/", [PUBLIC]),
    ("https://127.0.0.1\\.name.example/", [PUBLIC]),
    ("https://name.example /", [PUBLIC]),
    ("https://name.example:/", [PUBLIC]),
    ("https://[2606:4700::1111]0/", [""]),
    ("https://[2606:4700::1111]x:443/", [""]),
    ("https://[::ffff:9.9.9.9%0]/", [""]),
    ("https://[2606:4700::1111%1]/", [""]),
    ("https://name.example/\r\nHost: 127.0.0.1", [PUBLIC]),
    ("https://name.example/\tx", [PUBLIC]),
    ("https://%31%32%37.0.0.1/", [""]),
    ("https://127.0.0.1%2f.name.example/", [PUBLIC]),
    ("https://①②⑦.0.0.1/", [""]),
    ("https://１２７.0.0.1/", [""]),
    ("https://127。0。0。1/", [""]),
    ("https://[name.example]/", [PUBLIC]),
    ("https://[::1", [""]),
    ("https://name..example/", [PUBLIC]),
    ("https://.name.example/", [PUBLIC]),
    ("https://-name.example/", [PUBLIC]),
    (f"https://{'a' * 64}.example/", [PUBLIC]),
    (f"https://name.example/{'a' * 2000}", [PUBLIC]),
]
ALLOWED = [
    (NAME, [PUBLIC]),
    ("https://Name.Example.:8443/a?b=c#d", [PUBLIC]),
    ("https://name.example:443", [PUBLIC_6]),
    ("https://xn--mnchen-3ya.example/", [PUBLIC]),
    ("https://hook_s.name.example/%C3%A9", [PUBLIC, "8.8.8.8"]),
    (f"https://{PUBLIC}/", [PUBLIC]),
    (f"https://[{PUBLIC_6}]:8443/", [PUBLIC_6]),
    (NAME, [f"::ffff:{PUBLIC}"]),
    (NAME, ["64:ff9b::5db8:d822"]),
]


class Recorder:
    """Resolves as it is told, and records to which addresses a connection would go."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.resolved: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int, seconds: float) -> Sequence[str]:
        self.resolved.append(host)
        if list(self.addresses) != [""]:
            return self.addresses
        # As a resolver does that takes numbers of every notation.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(address[0]) for *_, address in found]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append(address)
        raise ConnectionRefusedError("nothing connects here")

    def http(self, *allowed_hosts: str) -> GuardedHttp:
        return GuardedHttp(frozenset(allowed_hosts), self.resolve, self.connect)


@pytest.mark.parametrize(("url", "addresses"), PRIVATE)
def test_no_private_address_is_reached(url: str, addresses: Sequence[str]) -> None:
    recorder = Recorder(addresses)
    with pytest.raises((TargetRefused, NoAnswer)):
        recorder.http().post(url, {}, b"")
    assert recorder.connected == []


def test_the_table_has_more_than_forty_targets() -> None:
    assert len(PRIVATE) >= 40


@pytest.mark.parametrize(("url", "addresses"), ALLOWED)
def test_public_addresses_are_reached(url: str, addresses: Sequence[str]) -> None:
    recorder = Recorder(addresses)
    with pytest.raises(NoAnswer):
        recorder.http().post(url, {}, b"")
    assert recorder.connected == list(addresses)
    assert len(recorder.resolved) == 1


@pytest.mark.parametrize("url", ["http://10.0.0.7:9000/", "https://10.0.0.7/", "http://hooks.internal/"])
def test_hosts_that_the_operator_allows_may_be_private(url: str) -> None:
    recorder = Recorder(["10.0.0.7"])
    with pytest.raises(NoAnswer):
        recorder.http("10.0.0.7", "hooks.internal").post(url, {}, b"")
    assert recorder.connected == ["10.0.0.7"]


def test_a_name_that_changes_between_check_and_connection_changes_nothing() -> None:
    # Given a name whose second resolution is private
    recorder = Recorder([PUBLIC])
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    http = GuardedHttp((), lambda *_: next(answers), recorder.connect)
    # When it is used, Then it is resolved once, and the address that was checked is connected to
    with pytest.raises(NoAnswer):
        http.post(NAME, {}, b"")
    assert recorder.connected == [PUBLIC]


@pytest.mark.parametrize("address", ["", "1.2.3", "999.1.1.1", "fe80::1%1", f"{PUBLIC_6}%eth0"])
def test_what_is_no_address_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_the_parts_of_a_url_are_sent_as_they_were_given() -> None:
    target = parse_target("https://Name.Example:8443/a%20b?c=d&e#f", ())
    assert (target.authority, target.path) == ("name.example:8443", "/a%20b?c=d&e")
    assert parse_target("https://name.example?x", ()).path == "/?x"
    assert parse_target("http://[::1]:80/", {"::1"}).authority == "[::1]"


@contextmanager
def receiver(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen on the loopback; yields the port. `answer` gets each connection, after its first bytes have been read."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            stream = context.wrap_socket(connection, server_side=True) if context else connection
            with stream:
                received.append(stream.recv(65536))
                answer(stream)

    received: list[bytes] = []
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def post(port: int, host: str = "localhost", scheme: str = "http", **options: Any) -> int:
    http = GuardedHttp({"localhost", "127.0.0.1"}, lambda *_: ["127.0.0.1"], **options)
    return http.post(f"{scheme}://{host}:{port}/hook", {"X-Own": "1"}, b"{}")


@pytest.mark.parametrize("status", [200, 204, 302, 410, 500])
def test_the_status_is_returned_and_no_redirect_followed(status: int) -> None:
    requests: list[int] = []

    def answer(stream: socket.socket) -> None:
        requests.append(1)
        stream.sendall(f"HTTP/1.1 {status} Any\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode())

    with receiver(answer) as port:
        assert post(port) == status
    assert len(requests) == 1


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 Wait\r\n\r\n" * 3]
)
@pytest.mark.parametrize("status", [204, 500])
def test_an_interim_answer_is_not_taken_for_the_answer(interim: bytes, status: int) -> None:
    with receiver(lambda stream: stream.sendall(interim + b"HTTP/1.1 %d X\r\n\r\n" % status)) as port:
        assert post(port) == status


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X: %s\r\n" % (b"y" * 900) for _ in range(90)) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000,
    ],
    ids=["nothing", "not HTTP", "bad status", "long line", "many headers", "endless", "endless hints"],
)
def test_what_is_no_answer_fails(text: bytes) -> None:
    with receiver(lambda stream: stream.sendall(text)) as port, pytest.raises(NoAnswer):
        post(port)


def test_a_closed_port_fails() -> None:
    with receiver(lambda _: None) as port:
        pass
    with pytest.raises(NoAnswer):
        post(port)


def drip(stream: socket.socket) -> None:
    """Send a byte now and then until the other side has left."""
    stream.settimeout(0.05)
    while not has_left(stream):
        stream.sendall(b"H")


def has_left(stream: socket.socket) -> bool:
    try:
        return stream.recv(1) == b""
    except TimeoutError:
        return False


def hang(stream: socket.socket) -> None:
    stream.recv(1)


@pytest.mark.parametrize("answer", [drip, hang])
def test_an_answer_is_not_waited_for_longer_than_the_limit(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a receiver that hangs, or answers a byte at a time, and a limit that the test does not wait for long
    monkeypatch.setattr(guarded_http, "TOTAL_SECONDS", 0.4)
    with receiver(answer) as port:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="in time"):
            post(port)
    assert time.monotonic() - began < 3


def test_a_tls_handshake_is_not_waited_for_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "CONNECT_SECONDS", 0.4)
    with receiver(drip) as port:
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            post(port, scheme="https")
    assert time.monotonic() - began < 3


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "CONNECT_SECONDS", 0.2)
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30))
    began = time.monotonic()
    try:
        with pytest.raises(NoAnswer):
            GuardedHttp(()).post(NAME, {}, b"")
    finally:
        over.set()
    assert time.monotonic() - began < 3


def test_the_next_address_is_tried() -> None:
    tried: list[str] = []

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        tried.append(address)
        return socket.create_connection((address, port), seconds)

    with receiver(lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        http = GuardedHttp({"localhost"}, lambda *_: ["127.0.0.2", "127.0.0.1"], connect)
        assert http.post(f"http://localhost:{port}/", {}, b"") == 200
    assert tried == ["127.0.0.2", "127.0.0.1"]


def test_certificates_are_checked_against_the_name(tmp_path: Path) -> None:
    # Given a receiver with a certificate for localhost
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(trusting)
    with receiver(lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), server) as port:
        # Then it is reached by this name, and neither by another one nor without trust in its issuer
        assert post(port, scheme="https", tls=trusting) == 200
        with pytest.raises(NoAnswer):
            post(port, "127.0.0.1", scheme="https", tls=trusting)
        with pytest.raises(NoAnswer):
            post(port, scheme="https")

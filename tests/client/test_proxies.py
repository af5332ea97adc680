"""A service on this machine is asked directly, whatever proxy the environment names."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from threading import Thread

import pytest

from topthree_client import Client
from topthree_client.loopback import is_loopback

STATUS = {"status": "ready", "workers": [], "jobs": {"open": 0, "running": 0, "failed": 0}}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(STATUS).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve(server: HTTPServer) -> HTTPServer:
    server.asked = []  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture
def proxy() -> Iterator[HTTPServer]:
    with serve(ThreadingHTTPServer(("127.0.0.1", 0), Answer)) as server:
        yield server
        server.shutdown()


@pytest.fixture(params=["127.0.0.1", "localhost", "[::1]"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    kind = Server6 if request.param == "[::1]" else ThreadingHTTPServer
    with serve(kind((request.param.strip("[]"), 0), Answer)) as server:
        yield f"http://{request.param}:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_service_on_this_machine_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, proxy: HTTPServer, url: str, variable: str
) -> None:
    # Given a proxy for everything
    monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_address[1]}")
    # When a service on this machine is asked, Then the proxy does not hear of it
    with Client(url) as client:
        assert client.status().workers == ()
    assert proxy.asked == []  # type: ignore[attr-defined]
    # And a service elsewhere is asked through it
    with Client("http://service.example") as client:
        client.status()
    assert proxy.asked == ["http://service.example/health/ready"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"]
)
def test_hosts_that_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "localhost.example.org", "2001:db8::1", "127.example"])
def test_hosts_that_may_be_others(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("all_proxy", "socks5://127.0.0.1:1"),
        ("http_proxy", "127.0.0.1:abc"),
        ("no_proxy", "localhost,[::1]"),
        ("SSL_CERT_FILE", "/nowhere"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    # Given an environment with a value that httpx cannot use
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    # When a client is made, Then one sentence says what is wrong
    with pytest.raises(ValueError, match="environment cannot be used"):
        Client("http://pictures.example")

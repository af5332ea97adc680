"""The proxy itself: what it does to a line is what its fault says."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy

LINE = bytes(range(256)) * 64
PATIENCE_SECONDS = 10


class Echo(BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy before a server that echoes."""
    with ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with TcpProxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()
        thread.join()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_SECONDS)


def echo(client: socket.socket, data: bytes = LINE) -> float:
    """Send `data`, check that it comes back, return how many seconds that took."""
    began = time.monotonic()
    client.sendall(data)
    client.settimeout(PATIENCE_SECONDS)
    answer = b""
    while len(answer) < len(data):
        answer += client.recv(65536)
    assert answer == data
    return time.monotonic() - began


def test_a_healthy_line_carries_everything(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert echo(client) < 1
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_latency_is_added_to_a_round_trip(proxy: TcpProxy) -> None:
    proxy.fault = Fault(latency_seconds=0.3, jitter_seconds=0.1)
    with connect(proxy) as client:
        assert echo(client, b"x") >= 0.2


def test_a_thin_line_takes_its_time(proxy: TcpProxy) -> None:
    proxy.fault = Fault(bytes_per_second=4 * len(LINE))
    with connect(proxy) as client:
        assert echo(client) >= 0.25


def test_slices_arrive_whole_and_in_order(proxy: TcpProxy) -> None:
    proxy.fault = Fault(slice_bytes=7)
    with connect(proxy) as client:
        echo(client)


def test_nothing_passes_a_black_hole_until_it_ends(proxy: TcpProxy) -> None:
    # Given a connection, When the line goes dead
    with connect(proxy) as client:
        echo(client)
        proxy.fault = Fault(black_hole=True)
        # Then connections are still accepted and nothing comes
        with connect(proxy) as other:
            for waiting in (client, other):
                waiting.sendall(b"x")
                waiting.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    waiting.recv(1)
            # And when it is well again, what was sent arrives
            proxy.fault = HEALTHY
            for waiting in (client, other):
                waiting.settimeout(PATIENCE_SECONDS)
                assert waiting.recv(1) == b"x"


def test_connections_are_reset_again_and_again(proxy: TcpProxy) -> None:
    proxy.fault = Fault(reset_every_seconds=0.1)
    for _ in range(3):
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)


def test_all_connections_can_be_reset_once(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        echo(client)
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with connect(proxy) as other:
            echo(other)


def test_a_connection_may_be_cut_in_place_of_its_answer(proxy: TcpProxy) -> None:
    proxy.fault = Fault(cut_answers=1)
    with connect(proxy) as client, pytest.raises(ConnectionResetError):
        echo(client, b"x")


def test_connections_can_be_refused(proxy: TcpProxy) -> None:
    proxy.fault = Fault(refuse=True)
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)

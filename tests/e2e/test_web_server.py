"""The web server under clients that are slow, many or gone (docs/decisions/0018)."""

import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.raw_http import answer_within, connect, established, exchange, head, read_all, statuses
from tests.support.repository import ROOT
from tests.support.tcp_proxy import Fault, TcpProxy
from tests.support.wait import eventually

PICTURE = (ROOT / "examples" / "traffic_light.png").read_bytes()
ASYNC = {"Prefer": "respond-async"}
# A request that keeps the connection open.
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_CLIENTS, LONG_POLLS = 100, 60


@pytest.fixture
def own(server: RedisServer, tmp_path: Path) -> Iterator[Service]:
    """An API without workers: jobs stay open."""
    service = Service(server.url, tmp_path, tmp_path)
    service.start_api()
    yield service
    service.stop()


@contextmanager
def slow_clients(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Keep `count` connections that send an upload's body at a byte a second."""
    sockets = [connect(port) for _ in range(count)]
    ended = threading.Event()

    def dribble() -> None:
        while not ended.wait(1):
            for connection in sockets:
                connection.send(b"x")

    for connection in sockets:
        connection.sendall(head("Content-Type: image/png", "Content-Length: 50000"))
    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield sockets
    finally:
        ended.set()
        thread.join()
        for connection in sockets:
            connection.close()


@contextmanager
def long_polls(service: Service, count: int) -> Iterator[list[str]]:
    """Keep `count` clients waiting for jobs that do not end."""
    ids = [service.accept(PICTURE) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        waits = [pool.submit(service.result, job_id, headers={"Prefer": "wait=60"}) for job_id in ids]
        try:
            eventually(lambda: established(service.port) >= count, what="open long polls")
            yield ids
        finally:
            for job_id in ids:
                requests.delete(f"{service.url}/result/{job_id}", timeout=10)
            for wait in waits:
                wait.result()


def timed(call: Callable[[], requests.Response]) -> float:
    began = time.monotonic()
    assert call().ok
    return time.monotonic() - began


def test_slow_bodies_and_long_polls_hold_up_nobody(own: Service) -> None:
    # Given clients that send a byte a second, and others that wait for their results
    with slow_clients(own.port, SLOW_CLIENTS), long_polls(own, LONG_POLLS):
        # When the service is asked for its health and given pictures
        live = [timed(lambda: requests.get(f"{own.url}/health/live", timeout=10)) for _ in range(50)]
        uploads = [timed(lambda: own.upload(PICTURE, headers=ASYNC)) for _ in range(50)]
    # Then nine of ten requests are answered within a second (a busy machine may delay some)
    print(f"live: median {statistics.median(live) * 1000:.1f} ms, longest {max(live) * 1000:.1f} ms")
    print(f"upload: median {statistics.median(uploads) * 1000:.1f} ms, longest {max(uploads) * 1000:.1f} ms")
    assert all(statistics.quantiles(seconds, n=10)[8] < 1 for seconds in (live, uploads))


def test_the_connections_to_redis_are_bounded(own: Service, server: RedisServer) -> None:
    # Given as many waiting clients as there are places
    with long_polls(own, LONG_POLLS), server.client() as client:
        # Then the API holds far fewer connections than clients wait
        assert client.info("clients")["connected_clients"] < LONG_POLLS


def test_sigterm_releases_who_waits_and_ends_in_time(own: Service) -> None:
    # Given clients that wait
    ids = [own.accept(PICTURE) for _ in range(10)]
    with ThreadPoolExecutor(len(ids)) as pool:
        waits = [pool.submit(own.result, job_id, headers={"Prefer": "wait=60"}) for job_id in ids]
        eventually(lambda: established(own.port) >= len(ids), what="open long polls")
        # When the API is told to stop
        assert own.api is not None
        own.api.signal(signal.SIGTERM)
        # Then it answers them with what it knows, and ends
        assert [wait.result(10).status_code for wait in waits] == [202] * len(ids)
        assert own.api.wait(10) == 0


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(own: Service) -> None:
    # When a client sends only the headers of a body that is too large
    answer = answer_within(5, own.port, head("Content-Length: 999999999"))
    # Then it is refused with a problem
    assert statuses(answer) == [413] and b"application/problem+json" in answer


def test_a_full_queue_refuses_before_the_body_is_sent(server: RedisServer, tmp_path: Path) -> None:
    # Given a queue that is full
    service = Service(server.url, tmp_path / "full", tmp_path, MAX_OPEN_JOBS="1")
    try:
        service.start_api()
        service.accept(PICTURE)

        def answer_to_headers_alone() -> bytes:
            # An upload with its body finds the queue full; the ones that come right after it are turned away sooner.
            assert service.upload(PICTURE, headers=ASYNC).status_code == 503
            return answer_within(0.5, service.port, head("Content-Type: image/png", "Content-Length: 50000"))

        # When a client has sent the headers of an upload only, Then it is told so, and when to come back
        answer = eventually(answer_to_headers_alone)
        assert statuses(answer) == [503] and b"Retry-After: " in answer
        assert b"application/problem+json" in answer
    finally:
        service.stop()


def test_a_client_that_leaves_keeps_no_place(own: Service) -> None:
    # Given a client that goes away in the middle of its body
    with slow_clients(own.port, 5) as sockets:
        for connection in sockets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    # Then its connection is forgotten and the service goes on
    eventually(lambda: established(own.port) == 0, what="closed connections")
    assert own.upload(PICTURE, headers=ASYNC).status_code == 202


SHORT_BLOCK_TIME = """
import sys
from api.__main__ import main
from api.server import pace
pace.BLOCK_SECONDS = 1.0
sys.exit(main())
"""


@pytest.fixture
def impatient(server: RedisServer, tmp_path: Path) -> Iterator[Service]:
    """An API with a time limit of one second for each 64 KiB."""
    service = Service(server.url, tmp_path, tmp_path)
    service.start_api(sys.executable, "-c", SHORT_BLOCK_TIME)
    yield service
    service.stop()


def test_a_slow_but_steady_upload_is_accepted(impatient: Service) -> None:
    # Given a picture whose upload takes several times the time limit of a block
    body = PICTURE + b"\0" * (512 * 1024)
    began = time.monotonic()
    # When it arrives at 160 KiB/s, Then it is accepted
    with TcpProxy(impatient.port) as line, connect(line.port) as connection:
        line.fault = Fault(bytes_per_second=160 * 1024)
        connection.sendall(head("Content-Type: image/png", "Prefer: respond-async", f"Content-Length: {len(body)}"))
        connection.sendall(body)
        assert statuses(read_all(connection)) == [202]
    assert time.monotonic() - began > 2


def test_a_stalled_request_gets_408(impatient: Service) -> None:
    # Given a request that stops in the middle of its body, and one that stops in its headers
    body = head("Content-Type: image/png", "Content-Length: 100000") + b"x" * 70_000
    for request in (body, head()[:-2]):
        # When nothing more arrives, Then the answer is 408
        answer = exchange(impatient.port, request)
        assert statuses(answer) == [408], answer
        assert b"application/problem+json" in answer


FEW_FILES = 256


def test_a_low_limit_of_open_files_limits_the_connections(server: RedisServer, tmp_path: Path) -> None:
    # Given an API with a low limit of open files
    service = Service(server.url, tmp_path, tmp_path)
    try:
        api = service.start_api("sh", "-c", f'ulimit -n {FEW_FILES} && exec "$0" -m api', sys.executable)

        def answers() -> bool:
            return statuses(answer_within(0.5, service.port, head(method="GET", path="/health/live"))) == [200]

        # When more clients connect than the limit allows, and keep their connections
        with ExitStack() as stack:
            for _ in range(FEW_FILES):
                stack.enter_context(connect(service.port)).sendall(LIVE)
            assert not answers()
        # Then further clients are answered once the first have disconnected
        eventually(answers, what="an answer")
        # And the log reports the limit once
        assert api.output.count("limit of open files") == 1
        assert "Traceback" not in api.output
    finally:
        service.stop()


def test_a_path_with_a_doubled_slash_is_no_other_path(own: Service) -> None:
    # Given a proxy that allows nobody `/metrics`, When a client asks for `//metrics`, Then there is no such page
    for path in ("//metrics", "///health/live", "//upload"):
        assert statuses(exchange(own.port, head(method="GET", path=path))) == [404]


def test_requests_that_the_server_refuses_are_counted(own: Service) -> None:
    # Given requests that the server refuses before it calls the application
    refused = [
        (431, head(f"X-Filler: {'x' * 40_000}")),
        (501, head("Transfer-Encoding: gzip")),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
    ]
    for status, request in refused:
        assert statuses(exchange(own.port, request)) == [status]
    # When the metrics are read, Then they are there
    metrics = requests.get(f"{own.url}/metrics", timeout=10).text
    for status, _ in refused:
        assert f'topthree_requests_total{{method="other",route="other",status="{status}"}} 1.0' in metrics


def test_an_empty_line_between_two_requests_is_ignored(own: Service) -> None:
    # Given a client that sends an empty line after a request, as some clients do
    with connect(own.port) as connection:
        connection.sendall(LIVE)
        assert statuses(connection.recv(65536)) == [200]
        connection.sendall(b"\r\n")
        # When it sends the next request, Then it is answered
        connection.sendall(LIVE)
        assert statuses(connection.recv(65536)) == [200]

"""The web server under clients that are slow, many or gone: the test that chose it (docs/decisions/0002)."""

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
from typing import Any

import pytest
import redis
import requests

from tests.support.processes import Process, RedisServer, Service
from tests.support.raw_http import connect, established, exchange, head, read_all, statuses
from tests.support.repository import ROOT
from tests.support.stub_worker import digest_of, make_picture
from tests.support.tcp_proxy import Fault, TcpProxy
from tests.support.wait import eventually

PICTURE = (ROOT / "examples" / "traffic_light.png").read_bytes()
ASYNC = {"Prefer": "respond-async"}
SLOW_CLIENTS, LONG_POLLS = 100, 60


@pytest.fixture
def own(server: RedisServer, tmp_path: Path, model_dir: Path) -> Iterator[Service]:
    """An API without workers: jobs stay open."""
    service = Service(server.url, tmp_path, model_dir)
    service.start_api()
    yield service
    service.stop()


@contextmanager
def slow_clients(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Keep `count` connections that send an upload's body at a byte a second."""
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 50000\r\n\r\n"
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(count)]
    ended = threading.Event()

    def dribble() -> None:
        while not ended.wait(1):
            for connection in sockets:
                connection.send(b"x")

    for connection in sockets:
        connection.sendall(head)
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
    # Then it answers within a second; a busy machine may take longer now and then
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
    # Given a client that announces more than any picture may have
    with socket.create_connection(("127.0.0.1", own.port), timeout=5) as connection:
        # When it has sent the headers only
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        # Then it is refused, as a problem
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413") and b"application/problem+json" in answer


def test_a_full_queue_refuses_before_the_body_is_sent(server: RedisServer, tmp_path: Path, model_dir: Path) -> None:
    # Given a queue that is full
    service = Service(server.url, tmp_path / "full", model_dir, MAX_OPEN_JOBS="1")
    try:
        service.start_api()
        service.accept(PICTURE)

        def answer_to_headers_alone() -> bytes:
            # An upload with its body finds the queue full; the ones that come right after it are turned away sooner.
            assert service.upload(PICTURE, headers=ASYNC).status_code == 503
            with socket.create_connection(("127.0.0.1", service.port), timeout=0.5) as connection:
                connection.sendall(head("Content-Type: image/png", "Content-Length: 50000"))
                try:
                    return connection.recv(65536)
                except TimeoutError:
                    return b""

        # When a client has sent the headers of an upload only, Then it is told so, and when to come back
        answer = eventually(answer_to_headers_alone)
        assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After: " in answer
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


PATIENT_FOR_A_SECOND = """
import sys
from api.__main__ import main
from api.server import pace
pace.BLOCK_SECONDS = 1.0
sys.exit(main())
"""


@pytest.fixture
def impatient(server: RedisServer, tmp_path: Path) -> Iterator[Service]:
    """An API that gives each 64 KiB one second."""
    service = Service(server.url, tmp_path, tmp_path)
    environ = {"REDIS_URL": server.url, "PORT": str(service.port)}
    service.api = Process([sys.executable, "-c", PATIENT_FOR_A_SECOND], tmp_path / "api.log", **environ)
    eventually(lambda: "serving on" in service.api.output if service.api else False, what="a live API")
    yield service
    service.stop()


def test_a_line_that_is_slow_but_steady_gets_its_picture_through(impatient: Service) -> None:
    # Given a picture that takes several times as long as one block may
    body = PICTURE + b"\0" * (512 * 1024)
    began = time.monotonic()
    # When it comes over a line of 160 KiB a second, Then it is accepted
    with TcpProxy(impatient.port) as line, connect(line.port) as connection:
        line.fault = Fault(bytes_per_second=160 * 1024)
        connection.sendall(head("Content-Type: image/png", "Prefer: respond-async", f"Content-Length: {len(body)}"))
        connection.sendall(body)
        assert statuses(read_all(connection)) == [202]
    assert time.monotonic() - began > 2


def test_a_body_that_stops_is_told_so(impatient: Service) -> None:
    # Given a client that stops in the middle of its body, and one in the middle of its headers
    body = head("Content-Type: image/png", "Content-Length: 100000") + b"x" * 70_000
    for request in (body, head()[:-2]):
        # When it sends no more, Then it is told why the connection ends
        answer = exchange(impatient.port, request)
        assert statuses(answer) == [408], answer
        assert b"application/problem+json" in answer


def test_clients_that_have_gone_take_no_place_from_those_that_wait(
    server: RedisServer, tmp_path: Path, model_dir: Path
) -> None:
    # Given an API without a worker, in which few may wait
    service = Service(server.url, tmp_path / "few", model_dir, MAX_WAITERS="2", WAIT_SECONDS="60")
    request = head("Content-Type: image/png", f"Content-Length: {len(PICTURE)}") + PICTURE
    try:
        service.start_api()
        for _ in range(2):
            with connect(service.port) as connection:
                connection.sendall(request)
                eventually(lambda: established(service.port) == 1, what="a client that waits")

        def waits() -> bool:
            with connect(service.port) as connection:
                connection.settimeout(3)
                connection.sendall(request)
                try:
                    assert statuses(connection.recv(65536)) == [503]
                except TimeoutError:
                    return True
            return False

        # When they are gone, Then others can wait in their places
        eventually(waits, what="a place to wait")
    finally:
        service.stop()


MANY = 300


def test_hundreds_of_plain_uploads_wait_at_once(server: RedisServer, tmp_path: Path) -> None:
    # Given a worker that takes a moment for each picture
    service = Service(server.url, tmp_path, tmp_path, STUB_EXECUTIONS=str(tmp_path / "executions"))
    try:
        service.start_api()
        service.start_worker("tests.support.stub_worker")
        service.wait_ready()
        pictures = [make_picture("sleep=0.01") for _ in range(MANY)]
        # When hundreds of clients upload at once
        with ThreadPoolExecutor(MANY) as pool:
            answers = list(pool.map(service.upload, pictures))
        # Then each of them gets the labels of its picture
        assert [answer.status_code for answer in answers] == [200] * MANY
        labels = [answer.json()["prediction_1"]["predicted_label"] for answer in answers]
        assert labels == [digest_of(picture) for picture in pictures]
    finally:
        service.stop()


FEW_FILES = 256


def test_few_open_files_bound_the_connections_and_the_log(server: RedisServer, tmp_path: Path) -> None:
    # Given an API that may open few files
    service = Service(server.url, tmp_path, tmp_path)
    command = ["sh", "-c", f'ulimit -n {FEW_FILES} && exec "$0" -m api', sys.executable]
    service.api = Process(command, tmp_path / "api.log", REDIS_URL=server.url, PORT=str(service.port))
    try:
        eventually(lambda: "serving on" in service.api.output if service.api else False, what="a live API")
        # When more clients connect than fit, and stay
        with ExitStack() as stack:
            for _ in range(FEW_FILES):
                stack.enter_context(connect(service.port)).sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not exchange_later(service.port)
        # Then those behind them are answered once they are gone
        eventually(lambda: exchange_later(service.port), what="an answer")
        # And the log says once what the limit is
        assert service.api.output.count("limit of open files") == 1
        assert "Traceback" not in service.api.output
    finally:
        service.stop()


def exchange_later(port: int) -> bool:
    """Whether a request is answered within half a second."""
    with connect(port) as connection:
        connection.settimeout(0.5)
        connection.sendall(head(method="GET", path="/health/live"))
        try:
            return statuses(connection.recv(65536)) == [200]
        except TimeoutError:
            return False


def test_an_empty_line_between_two_requests_is_ignored(own: Service) -> None:
    # Given a client that sends an empty line after a request, as some do after a body
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(own.port) as connection:
        connection.sendall(request)
        assert statuses(connection.recv(65536)) == [200]
        connection.sendall(b"\r\n")
        # When the next request comes, Then it is answered
        connection.sendall(request)
        assert statuses(connection.recv(65536)) == [200]


def reads(client: redis.Redis) -> int:
    """Return how often a job's record was read."""
    statistics: dict[str, Any] = client.info("commandstats")
    return int(statistics.get("cmdstat_hgetall", {"calls": 0})["calls"])


def test_requests_that_wait_outlast_a_restart_of_redis(server: RedisServer, tmp_path: Path) -> None:
    # Given clients that wait for jobs
    service = Service(server.url, tmp_path, tmp_path, STUB_EXECUTIONS=str(tmp_path / "executions"))
    try:
        service.start_api()
        pictures = [make_picture() for _ in range(5)]
        ids = [service.accept(picture) for picture in pictures]
        with ThreadPoolExecutor(len(ids)) as pool:
            waits = [pool.submit(service.result, job_id, headers={"Prefer": "wait=50"}) for job_id in ids]
            with server.client() as client:
                eventually(lambda: reads(client) >= len(ids), what="long polls that have found their jobs open")
            # When Redis is killed and starts again, and a worker comes
            server.kill()
            eventually(lambda: service.api and "subscription" in service.api.output, what="an API that noticed")
            server.start()
            service.start_worker("tests.support.stub_worker")
            # Then each of them gets its labels
            answers = [wait.result() for wait in waits]
        assert [answer.status_code for answer in answers] == [200] * len(ids), answers[0].text
        records = [answer.json() for answer in answers]
        labels = [record["result"]["prediction_1"]["predicted_label"] for record in records]
        assert labels == [digest_of(picture) for picture in pictures]
    finally:
        service.stop()

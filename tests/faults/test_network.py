"""The line between the service and Redis, or between a client and the service, is bad."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checks import check_attempts, check_drained, check_outage, check_recovery, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History, Upload, stub_picture
from tests.support.processes import RedisServer
from tests.support.stub_worker import read_executions
from tests.support.supervised import StubService, outlast
from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy
from tests.support.wait import eventually

Begin = Callable[[str], History]
MOST_TRIES = 50
# A job may have to wait until the loss of its message is seen.
LAST_JOB_SECONDS = 15
SLOW = Fault(latency_seconds=0.5, jitter_seconds=0.2, slice_bytes=64)


@pytest.fixture
def line(server: RedisServer) -> Iterator[TcpProxy]:
    """All that API and workers hear of Redis."""
    with TcpProxy(server.port) as line:
        yield line


@pytest.fixture
def service(line: TcpProxy, tmp_path: Path) -> Iterator[StubService]:
    service = StubService(f"redis://127.0.0.1:{line.port}/0", tmp_path / "service")
    yield service
    service.stop()


def test_connections_are_reset_every_two_seconds(
    service: StubService, server: RedisServer, line: TcpProxy, history: Begin, scale: Scale
) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("connection reset every 2 s")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1"), per_second=15):
        # When all connections to Redis are reset again and again
        line.fault = Fault(reset_every_seconds=2)
        outlast(scale.outage_seconds)
        line.fault = HEALTHY
        check_recovery(service, workers=2)
    # Then every job is answered
    settle(case, server)


@pytest.mark.parametrize("side", ["worker", "API"])
def test_answers_of_redis_are_lost(
    server: RedisServer, line: TcpProxy, tmp_path: Path, scale: Scale, side: str
) -> None:
    # Given a service of whose parts one has a line of its own to Redis, and jobs that may begin once
    bad, good = f"redis://127.0.0.1:{line.port}/0", server.url
    service = StubService(bad if side == "API" else good, tmp_path / "service", JOB_ATTEMPTS="1")
    try:
        service.start_api()
        for _ in range(2):
            service.start_worker(REDIS_URL=bad if side == "worker" else good)
        service.wait_ready(2)
        case = History(f"1 of 15 answers lost, {side} and Redis", scale.name, service)
        # When answers of Redis do not come while more waits than can run, so that workers claim job after job
        line.fault = Fault(cut_answers=1 / 15)
        with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.05"), per_second=300):
            pass
        # Then every job is answered all the same, the last one within seconds
        check_drained(server, scale.jobs * 0.05 + LAST_JOB_SECONDS)
        line.fault = HEALTHY
        row = settle(case, server)
        # And none was begun twice
        assert row.duplicated == 0
        check_attempts(server)
        # And uploads that were refused, and accepted all the same, were told that this may be
        with server.client() as client:
            untold = len(list(client.scan_iter("job:*"))) - row.accepted
        assert untold <= sum("may have been accepted" in upload.told for upload in case.uploads)
    finally:
        service.stop()


def test_redis_is_behind_a_black_hole(
    service: StubService, server: RedisServer, line: TcpProxy, history: Begin, scale: Scale
) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("black hole")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When nothing passes to Redis and nothing back, Then the service says so, at once and truly
        line.fault = Fault(black_hole=True)
        check_outage(service, case, scale.outage_seconds)
        line.fault = HEALTHY
        # And it is back by itself
        check_recovery(service, workers=2)
    settle(case, server)


def test_redis_is_slow_and_its_packets_are_sliced(
    service: StubService, server: RedisServer, line: TcpProxy, history: Begin, scale: Scale
) -> None:
    # Given a service
    service.start(workers=2)
    case = history("500 ms ± 200 ms latency, sliced packets")
    # When Redis is far away and its answers come in slices, and pictures are uploaded all the same
    line.fault = SLOW
    with case.traffic(scale.slow_jobs, per_second=4, seconds=400):
        pass
    # Then some are answered even now
    jobs = [upload.job_id for upload in case.accepted]
    eventually(lambda: any(service.result(job_id).status_code == 200 for job_id in jobs), 60, "an answer")
    # And all of them when the line is good again
    line.fault = HEALTHY
    settle(case, server)
    check_recovery(service, workers=2)


def test_the_line_to_redis_is_thin(
    service: StubService, server: RedisServer, line: TcpProxy, history: Begin, scale: Scale
) -> None:
    # Given a service
    service.start(workers=2)
    case = history("64 KiB a second to Redis")
    # When pictures of 30 kB are uploaded over a line that takes half a second for each
    line.fault = Fault(bytes_per_second=64 * 1024)
    with case.traffic(scale.slow_jobs, lambda: stub_picture(side=100), per_second=2, seconds=400):
        pass
    line.fault = HEALTHY
    # Then every job is answered
    settle(case, server)


def test_the_answer_is_cut_off_and_the_client_retries(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a service, and clients to whom every second answer does not come
    service.start(workers=1)
    case = history("connection cut between enqueue and reply, client retries")
    with TcpProxy(service.port) as door:
        case.urls[:] = [f"http://127.0.0.1:{door.port}"]
        door.fault = Fault(cut_answers=0.5)
        for _ in range(scale.jobs):
            picture, expected = stub_picture()
            headers = {"Idempotency-Key": secrets.token_hex(8)}
            # When they retry with the key of their first try
            told = upload_until_told(case, picture, expected, headers)
            # Then they are told of one job, however often they ask
            again = upload_until_told(case, picture, expected, headers)
            assert told.acceptance == again.acceptance == "accepted", (told, again)
            assert told.job_id == again.job_id
    # And each picture was classified once
    case.urls[:] = [service.url]
    row = settle(case, server)
    assert row.accepted == scale.jobs
    assert row.unknown > 0
    assert set(read_executions(service.executions_file).values()) == {1}


def upload_until_told(client: History, picture: bytes, expected: Expected, headers: dict[str, str]) -> Upload:
    for _ in range(MOST_TRIES):
        upload = client.upload(picture, expected, **headers)
        if upload.acceptance != "unknown":
            return upload
    raise AssertionError(f"no answer in {MOST_TRIES} tries")

"""Redis restarts, dies, is away, hangs; API and workers come back by themselves, and nothing accepted is lost."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checks import check_attempts, check_outage, check_recovery, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, stub_picture
from tests.support.processes import RedisServer
from tests.support.supervised import StubService, outlast
from tests.support.wait import eventually

Begin = Callable[[str], History]
# Longer than Redis has to answer, shorter than a job may run.
STALL_SECONDS = 1.5
# Longer than a lease, and than a worker tries to write how a job ended.
LONG_STALL_SECONDS = 12


def test_redis_is_restarted_under_load(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis restart with its append-only file")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        for _ in range(scale.restarts):
            # When Redis is restarted in an orderly way
            outlast(random.uniform(0.5, 1.5))
            server.stop()
            server.start()
            # Then the service is back, by itself
            check_recovery(service, workers=2)
    settle(case, server)


def test_redis_is_killed_during_uploads(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a service that takes pictures in as fast as it can
    service.start(workers=1)
    case = history("Redis kill -9 during uploads")
    with case.traffic(scale.jobs, per_second=200):
        for _ in range(scale.restarts):
            # When Redis is killed among the uploads and comes back
            before = len(case.accepted)
            eventually(lambda before=before: len(case.accepted) > before + 5, 60, "accepted uploads")
            outlast(random.uniform(0, 0.3))
            server.kill()
            server.start()
    # Then every 202 is kept
    settle(case, server)
    check_recovery(service, workers=1)


def test_redis_is_away(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis away")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When Redis is away for long, Then the service says so, at once and truly
        server.kill()
        check_outage(service, case, scale.outage_seconds)
        server.start()
        # And it is back by itself
        check_recovery(service, workers=2)
    settle(case, server)


def test_redis_hangs(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis stopped (SIGSTOP)")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When Redis accepts connections and does nothing, Then the service says so, at once and truly
        server.process.signal(signal.SIGSTOP)
        try:
            check_outage(service, case, scale.hang_seconds)
        finally:
            server.process.signal(signal.SIGCONT)
        # And it is back by itself
        check_recovery(service, workers=2)
    settle(case, server)


@pytest.fixture
def strict(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    """A service whose jobs may begin once; nothing of it runs yet."""
    service = StubService(server.url, tmp_path / "service", JOB_ATTEMPTS="1")
    yield service
    service.stop()


def test_redis_stalls_again_and_again(strict: StubService, server: RedisServer, scale: Scale) -> None:
    # Given a service under load, and jobs that may begin once
    strict.start(workers=2)
    case = History("Redis stalls for 1.5 s, again and again", scale.name, strict)
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.05"), per_second=150):
        for _ in range(scale.stalls):
            # When Redis stands still in the midst of it
            enough = len(case.accepted) + 60
            eventually(lambda enough=enough: len(case.accepted) > enough, 60, "accepted uploads")
            stall(server, STALL_SECONDS)
    # Then every job is answered, and none was begun twice
    row = settle(case, server)
    assert row.duplicated == 0
    check_attempts(server)


def test_redis_stalls_for_longer_than_a_lease(strict: StubService, server: RedisServer, scale: Scale) -> None:
    # Given a service under load, and jobs that may begin once
    strict.start(workers=2)
    case = History("Redis stalls for 12 s", scale.name, strict)
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1"), per_second=40):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When Redis stands still for longer than a worker has patience
        stall(server, LONG_STALL_SECONDS)
        check_recovery(strict, workers=2)
    # Then every job is answered, and no attempt counts that Redis spoilt
    settle(case, server)
    check_attempts(server)


def stall(server: RedisServer, seconds: float) -> None:
    server.process.signal(signal.SIGSTOP)
    try:
        outlast(seconds)
    finally:
        server.process.signal(signal.SIGCONT)

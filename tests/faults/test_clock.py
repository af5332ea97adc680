"""The clock of Redis' machine is set while jobs run and wait: a laptop slept, a time server corrected it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checks import check_attempts, check_drained, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, Upload, stub_picture
from tests.support.needs import skip_outside_ci
from tests.support.processes import RedisServer
from tests.support.set_clock import SetClock, find_library
from tests.support.supervised import StubService, kill_process, outlast
from tests.support.wait import eventually

HOUR = 3600
CHANGES = {"ahead by 8 h": 8 * HOUR, "back by 1 h": -HOUR}
WORKERS, CHILDREN = 2, 4
WAITING, PLAIN = 20, 20
# Time for two rounds of repair.
ROUNDS_SECONDS = 4
# A lease, and the time until somebody looks whether it has ended.
REAP_SECONDS = 20


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    """The clock of Redis."""
    library = find_library()
    if library is None:
        skip_outside_ci("needs libfaketime, which is installed on Linux on x86-64 only")
    return SetClock(library, tmp_path)


@pytest.fixture
def server(clock: SetClock, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", environ=clock.environ)
    yield server
    server.kill()


@pytest.fixture
def service(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    """A service whose workers run for some seconds what waits for a file."""
    service = StubService(server.url, tmp_path / "service", JOB_TIME_LIMIT_SECONDS="10")
    yield service
    service.stop()


def run_until(case: History, file: Path, server: RedisServer, jobs: int) -> list[Upload]:
    """Have so many jobs run until there is a file."""
    uploads = [case.upload(*stub_picture(f"until={file}")) for _ in range(jobs)]
    with server.client() as client:
        eventually(lambda: client.zcard("jobs:leases") == jobs, 30, f"{jobs} running jobs")
    return uploads


def set_clock(clock: SetClock, server: RedisServer, seconds: int) -> None:
    clock.set(seconds)
    with server.client() as client:
        assert abs(client.time()[0] - time.time() - seconds) < 10, "the clock was not set"


@pytest.mark.parametrize("change", CHANGES)
def test_the_clock_is_set_while_jobs_are_open(
    service: StubService, server: RedisServer, clock: SetClock, tmp_path: Path, scale: Scale, change: str
) -> None:
    # Given jobs that have ended, jobs that run and jobs that wait
    service.start(WORKERS)
    case = History(f"Redis' clock is set {change}", scale.name, service)
    with case.traffic(scale.jobs, per_second=40):
        pass
    # Their results end by the clock too.
    case.read(60)
    done = tmp_path / "done"
    run_until(case, done, server, CHILDREN)
    for _ in range(WAITING):
        case.upload(*stub_picture("sleep=0.05"))
    # When the clock is set
    set_clock(clock, server, CHANGES[change])
    outlast(ROUNDS_SECONDS)
    done.touch()
    # Then all of them end within seconds
    check_drained(server, 15)
    service.wait_ready(WORKERS)
    # And plain uploads are accepted and answered, also while another job runs
    last = tmp_path / "last"
    run_until(case, last, server, 1)
    plain = [case.upload(*stub_picture(), Prefer="") for _ in range(PLAIN)]
    last.touch()
    assert [upload.told[:3] for upload in plain] == ["200"] * PLAIN, {upload.told for upload in plain}
    # And no job was begun twice
    row = settle(case, server)
    assert row.duplicated == 0
    check_attempts(server)


@pytest.mark.parametrize("change", CHANGES)
def test_a_worker_is_killed_after_the_clock_was_set(
    service: StubService, server: RedisServer, clock: SetClock, tmp_path: Path, scale: Scale, change: str
) -> None:
    # Given workers that run jobs
    service.start(WORKERS)
    case = History(f"worker kill -9 after Redis' clock was set {change}", scale.name, service)
    done = tmp_path / "done"
    uploads = run_until(case, done, server, CHILDREN)
    # When the clock is set, and one of them is killed
    set_clock(clock, server, CHANGES[change])
    kill_process(service.workers[0])
    killed = time.monotonic()
    done.touch()
    # Then its jobs are done elsewhere, within seconds
    for upload in uploads:
        service.finished(upload.job_id, REAP_SECONDS - (time.monotonic() - killed))
    # And only they were begun again
    row = settle(case, server)
    assert row.duplicated == CHILDREN // WORKERS
    assert row.restarted == 1

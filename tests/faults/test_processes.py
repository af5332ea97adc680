"""Processes of the service are killed or told to stop; what was accepted is answered."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.checks import IMAGE_TTL_SECONDS, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, stub_picture
from tests.support.processes import Process, RedisServer
from tests.support.supervised import StubService, alive, children, kill_process, outlast, random_child
from tests.support.wait import eventually

Begin = Callable[[str], History]


def test_children_are_killed_at_random_times(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a worker under load; attempts enough for a job that is hit again and again by chance
    service.start_api()
    worker = service.start_worker(JOB_ATTEMPTS="10")
    service.wait_ready()
    case = history("child SIGKILL at random times")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        # When its children are killed, one after another
        for _ in range(scale.child_kills):
            outlast(random.uniform(0, 0.8))
            child = eventually(lambda: random_child(worker), 30, "a child to kill")
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    # Then every job is answered, by the same worker
    row = settle(case, server)
    assert row.restarted == 0


def test_worker_parents_are_killed_in_the_middle_of_jobs(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given two workers under load
    service.start(workers=2)
    case = history("worker parent kill -9 mid-job")
    orphans: list[int] = []
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.2"), per_second=10):
        for _ in range(scale.worker_kills):
            # When the parent of one is killed while its children are at work
            victim, before = random.choice(service.workers), service.restarts
            eventually(lambda victim=victim: runs_a_job(server, victim), 60, "a running job")
            orphans += children(victim.pid)
            kill_process(victim)
            eventually(lambda before=before: service.restarts > before, 30, "a new worker")
    # Then every job is answered
    row = settle(case, server)
    assert row.restarted == scale.worker_kills
    # And the children that have lost their parent have gone
    eventually(lambda: not any(map(alive, orphans)), 30, "an end of the orphans")


def runs_a_job(server: RedisServer, worker: Process) -> bool:
    with server.client() as client:
        running = client.zrange("jobs:leases", 0, -1)
        return any(str(client.hget(f"job:{job_id}", "worker")).endswith(f"-{worker.pid}") for job_id in running)


def test_sigterm_under_load(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given two workers and an API under load
    service.start(workers=2)
    case = history("SIGTERM under load")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > scale.jobs // 4, 60, "a load")
        # When a worker is told to stop, Then it ends well
        assert service.workers[0].stop() == 0
        # And when the API is
        eventually(lambda: len(case.accepted) > scale.jobs // 2, 60, "a load")
        assert service.api.stop() == 0
        service.start_api()
    # Then every job is answered once, and nobody who was let in was cut off
    row = settle(case, server)
    assert row.duplicated == 0
    assert row.unknown == 0, [upload for upload in case.uploads if upload.acceptance == "unknown"][:3]


@pytest.mark.parametrize("store", ["redis", "file"])
def test_the_api_is_killed_in_the_middle_of_uploads(
    server: RedisServer, tmp_path: Path, scale: Scale, store: str
) -> None:
    # Given a service that stores pictures in Redis, or as files
    folder = tmp_path / "pictures"
    settings = {"IMAGE_STORE_URL": folder.as_uri()} if store == "file" else {}
    service = StubService(server.url, tmp_path / "service", **settings)
    try:
        service.start()
        case = History(f"API kill -9 mid-upload ({store} store)", scale.name, service)
        with case.traffic(scale.jobs, lambda: stub_picture(side=300), per_second=200):
            for _ in range(scale.worker_kills):
                # When the API is killed while several clients upload as fast as they can
                enough = len(case.accepted) + random.randint(3, 9)
                eventually(lambda enough=enough: len(case.accepted) >= enough, 60, "accepted uploads")
                service.restart_api()
        # Then every job has its picture, accepted or not; what pictures have no job go with their time to live
        settle(case, server)
        if store == "file":
            check_sweep(server, folder)
    finally:
        service.stop()


def check_sweep(server: RedisServer, folder: Path) -> None:
    """Pictures without a job go when their time to live has ended."""
    for file in [folder / ("0" * 32), *folder.glob("[!.]*")]:
        file.touch()
        long_ago = file.stat().st_mtime - IMAGE_TTL_SECONDS - 60
        os.utime(file, (long_ago, long_ago))
    with server.client() as client:
        # The sweep is rare; now is the time for one.
        client.delete("repair:sweep")
    eventually(lambda: not list(folder.glob("[!.]*")), 30, "an end of the pictures left behind")

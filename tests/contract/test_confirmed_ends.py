"""`REDIS_MIN_REPLICAS` with pictures outside Redis: a picture stays until replicas have the end of its job."""

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from shared.errors import ImageMissing
from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.events import NO_EVENTS
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, Outcome
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRegistry
from tests.support.claims import claim_job
from tests.support.processes import RedisServer
from tests.support.replicas import with_replica
from tests.support.wait import eventually
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.stalled import StalledJobs
from worker.jobs.turns import Turns

QUEUE = Queue("ends:")
# One attempt, and no picture is kept for a retry.
LIMITS = JobLimits(1000, 10_000_000, 1, 3600, 3600, 0, 0)
DATA = b"a picture"
PICTURE = ImageInfo(hashlib.sha256(DATA).hexdigest(), "PNG", 1, 1, len(DATA))
PROBLEM = {"status": 500, "title": "Time limit", "detail": "D"}
ID = "a" * 32


class Bench:
    """A primary, a replica of it that can be stopped, and a folder with pictures."""

    def __init__(self, client: Any, replica: RedisServer, folder: Path) -> None:
        self._client = client
        self.replica = replica
        self.stalled = StalledJobs(client, QUEUE)
        self.store = open_image_store(f"file://{folder}", StoreHistory(client, QUEUE), set_up=True)
        self.jobs = Jobs(client, QUEUE, LIMITS, min_replicas=1, confirm_ends=True)
        cached = CachedResults(ResultCache(client, QUEUE, 0), ReadyWorkers(WorkerRegistry(client, QUEUE), 0))
        self.picture_jobs = PictureJobs(self.jobs, self.store, cached, NO_EVENTS)
        turns = Turns(client, QUEUE, REAP_SECONDS)
        self.reaper = Reaper(turns, self.jobs, self.stalled, self.store, NO_EVENTS)

    def admit(self, deadline_seconds: float = 0) -> None:
        self.store.put(ID, DATA)
        self.jobs.admit(ID, JobRequest(PICTURE, top=3, deadline_seconds=deadline_seconds))

    def begin(self) -> str:
        """Admit a job and have it claimed; return the execution."""
        self.admit()
        claimed = claim_job(self.jobs, ID)
        assert claimed
        return claimed.execution

    def is_replicated(self) -> bool:
        self._client.set("ends:test", 1)
        return bool(self._client.wait(1, 100) == 1)

    def holds_picture(self) -> bool:
        try:
            return self.store.get(ID, b"") == DATA
        except ImageMissing:
            return False


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, RedisServer]]:
    with with_replica(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture
def bench(servers: tuple[RedisServer, RedisServer], tmp_path: Path) -> Iterator[Bench]:
    primary, replica = servers
    with primary.client() as client:
        client.flushall()
        eventually(lambda: client.wait(1, 100) == 1, what="a replica that follows")
        yield Bench(client, replica, tmp_path)
        replica.process.signal(signal.SIGCONT)


def expire(bench: Bench) -> Callable[[], Any]:
    bench.admit(deadline_seconds=0.001)
    eventually(lambda: bench.stalled.past_deadline(int(time.time() * 1000)))
    return bench.reaper.run_once


def lose(bench: Bench) -> Callable[[], Any]:
    execution = bench.begin()
    return lambda: bench.reaper.requeue(ID, execution, "its worker died")


def stop(bench: Bench) -> Callable[[], Any]:
    execution = bench.begin()
    return lambda: bench.reaper.fail(ID, execution, PROBLEM)


def end(bench: Bench) -> Callable[[], Any]:
    execution = bench.begin()

    def as_a_worker() -> None:
        # `JobRunner.leave` deletes the picture of what has ended in this way only.
        if bench.jobs.end(ID, Outcome.failed({**PROBLEM, "status": 422}), execution) == 1:
            bench.store.delete(ID)

    return as_a_worker


def begun(act: Callable[[Bench], Any]) -> Callable[[Bench], Callable[[], Any]]:
    def begin(bench: Bench) -> Callable[[], Any]:
        bench.begin()
        return lambda: act(bench)

    return begin


# Each prepares a job, and returns what ends it.
ENDS: dict[str, Callable[[Bench], Callable[[], Any]]] = {
    "by its worker": end,
    "by its client": begun(lambda bench: bench.picture_jobs.cancel(ID)),
    "with its batch": begun(lambda bench: bench.picture_jobs.forget_all([ID])),
    "through Celery": begun(lambda bench: bench.reaper.cancel(ID)),
    "at its time limit": stop,
    "after its last attempt": lose,
    "at its deadline": expire,
}


@pytest.mark.parametrize("name", ENDS)
def test_a_picture_stays_if_the_end_of_its_job_is_not_confirmed(bench: Bench, name: str) -> None:
    # Given a job, and a replica that hangs
    end_it = ENDS[name](bench)
    bench.replica.process.signal(signal.SIGSTOP)
    # When the job ends, Then its picture stays: the replica could be promoted, and the job would run again
    end_it()
    assert bench.jobs.backlog.read().open_jobs == 0
    assert bench.holds_picture()


@pytest.mark.parametrize("name", ENDS)
def test_a_picture_goes_if_the_end_of_its_job_is_confirmed(bench: Bench, name: str) -> None:
    end_it = ENDS[name](bench)
    end_it()
    assert not bench.holds_picture()


@pytest.mark.parametrize("is_back", [True, False])
def test_a_picture_that_stayed_goes_with_its_deleted_result(bench: Bench, is_back: bool) -> None:
    # Given a job that ended while the replica hung
    end_it = end(bench)
    bench.replica.process.signal(signal.SIGSTOP)
    end_it()
    assert bench.holds_picture()
    # When its result is deleted, Then its picture goes too, if the replica is back
    if is_back:
        bench.replica.process.signal(signal.SIGCONT)
        eventually(bench.is_replicated, what="a replica that has caught up")
    bench.picture_jobs.cancel(ID)
    assert bench.holds_picture() is not is_back

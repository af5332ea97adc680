"""The watchdog tells a worker that does not hear from one that has nothing to do."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import fakeredis
import pytest

from shared.jobs.queue import QUEUE_NAME, Queue
from tests.support.clock import Clock
from worker.runtime import watchdog
from worker.runtime.watchdog import CHECK_SECONDS, DEAF_MARGIN_SECONDS, IDLE_SECONDS, Watchdog

WARMED = threading.Event()
WARMED.set()


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ended() -> list[bool]:
    return []


@pytest.fixture
def make_dog(client: fakeredis.FakeRedis, clock: Clock, ended: list[bool]) -> Callable[..., Watchdog]:
    """Return a factory of watchdogs for a worker with a job time limit of ten seconds."""

    def make(client: fakeredis.FakeRedis = client, warmed: threading.Event = WARMED) -> Watchdog:
        return Watchdog(client, Queue(), warmed, 10, lambda: ended.append(True), clock)

    return make


@pytest.fixture
def dog(make_dog: Callable[..., Watchdog]) -> Watchdog:
    return make_dog()


def turn(dog: Watchdog, clock: Clock, seconds: float) -> None:
    """Run the event loop's checks for this many seconds."""
    for _ in range(int(seconds / CHECK_SECONDS)):
        clock.now += CHECK_SECONDS
        dog.check()


def test_an_idle_worker_is_not_ended(dog: Watchdog, clock: Clock, ended: list[bool]) -> None:
    turn(dog, clock, 600)
    assert not ended


def test_a_worker_that_leaves_jobs_lying_is_ended(
    dog: Watchdog, clock: Clock, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    client.lpush(QUEUE_NAME, "message")
    turn(dog, clock, IDLE_SECONDS)
    assert not ended
    turn(dog, clock, CHECK_SECONDS)
    assert ended


def test_a_worker_that_takes_jobs_is_not_ended(
    dog: Watchdog, clock: Clock, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    # Given a long queue
    client.lpush(QUEUE_NAME, "message")
    # When jobs are taken now and then, Then it is no cause to end
    for _ in range(8):
        turn(dog, clock, IDLE_SECONDS - CHECK_SECONDS)
        dog.taken()
    assert not ended


def test_a_busy_worker_may_take_the_time_limit_of_a_job_before_the_next(
    dog: Watchdog, clock: Clock, ended: list[bool], client: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that runs a job, and another job in the queue
    client.lpush(QUEUE_NAME, "message")
    monkeypatch.setattr(watchdog.state, "active_requests", {"a job"})
    # Then it is ended after the time limit of a job plus a margin
    turn(dog, clock, 10 + DEAF_MARGIN_SECONDS - CHECK_SECONDS)
    assert not ended
    turn(dog, clock, 2 * CHECK_SECONDS)
    assert ended


def test_the_idle_time_restarts_after_the_loop_was_blocked(
    dog: Watchdog, clock: Clock, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    client.lpush(QUEUE_NAME, "message")
    clock.now += 600
    dog.check()
    turn(dog, clock, IDLE_SECONDS)
    assert not ended


def test_a_worker_that_still_loads_its_model_is_not_ended(
    make_dog: Callable[..., Watchdog], clock: Clock, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    # Given jobs, and a model that takes long to load
    client.lpush(QUEUE_NAME, "message")
    turn(make_dog(warmed=threading.Event()), clock, 600)
    assert not ended


def test_a_worker_without_redis_is_not_ended(
    make_dog: Callable[..., Watchdog], clock: Clock, ended: list[bool]
) -> None:
    # Given jobs in a queue that cannot be reached
    server = fakeredis.FakeServer()
    client = fakeredis.FakeRedis(server=server, decode_responses=True)
    client.lpush(QUEUE_NAME, "message")
    server.connected = False
    turn(make_dog(client), clock, 600)
    assert not ended


@pytest.mark.parametrize(("hang", "stopping"), [("STALLED_SECONDS = 0.2", False), ("STOP_MARGIN_SECONDS = -0.8", True)])
def test_a_loop_that_stands_still_and_a_stop_that_hangs_are_killed(hang: str, stopping: bool) -> None:
    # Given a process whose loop never turns, or whose end never comes
    program = f"import worker.runtime.watchdog as w; w.{hang}; w.CHECK_SECONDS = 0.05; "
    program += f"w.Watchdog(None, None, None, 1, print).start(lambda: {stopping}); "
    program += "import threading; threading.Event().wait(20)"
    # Then its watchdog kills it
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_pause_of_the_machine_is_no_hang() -> None:
    # Given a process whose loop may be blocked for a second, on a machine that is paused for much longer
    program = (
        "import itertools, threading, worker.runtime.watchdog as w; w.STALLED_SECONDS = 1; w.CHECK_SECONDS = 0.01\n"
        "times = itertools.chain([0] * 10, itertools.count(1000, 0.01))\n"
        "look = lambda: print('look', flush=True) or next(times)\n"
        "w.Watchdog(None, None, None, 1, print, look).start(lambda: False)\n"
        "threading.Event().wait(60)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    # Then it is not killed because of the pause, but later because its loop is blocked
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.count("look") > 50

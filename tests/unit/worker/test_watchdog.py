"""The watchdog tells a worker that does not hear from one that has nothing to do."""

import time

import fakeredis
import pytest

from shared.queue import QUEUE_NAME
from tests.support.wait import eventually
from worker import watchdog
from worker.watchdog import Watchdog


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "DEAF_MARGIN_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "CHECK_SECONDS", 0.02)


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


def make(client: fakeredis.FakeRedis, ended: list[bool]) -> Watchdog:
    return Watchdog(client, job_limit_seconds=0.1, end=lambda: ended.append(True))


def stays_silent(dog: Watchdog, seconds: float = 0.6) -> bool:
    """Whether the watchdog finds nothing wrong for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if dog.is_deaf():
            return False
    return True


def test_a_worker_with_nothing_to_do_is_left_alone(client: fakeredis.FakeRedis) -> None:
    assert stays_silent(make(client, []))


def test_a_worker_that_leaves_jobs_lying_is_ended_once(client: fakeredis.FakeRedis) -> None:
    # Given a job in the queue and a worker that takes none
    client.lpush(QUEUE_NAME, "message")
    ended: list[bool] = []
    # When it is watched, Then it is ended
    make(client, ended).start()
    eventually(lambda: ended == [True], 5)


def test_a_busy_worker_that_takes_jobs_is_left_alone(client: fakeredis.FakeRedis) -> None:
    # Given a long queue
    client.lpush(QUEUE_NAME, "message")
    dog = make(client, [])
    # When jobs are taken now and then, Then it is no cause to end
    for _ in range(5):
        assert stays_silent(dog, 0.15)
        dog.taken()


def test_a_worker_without_redis_is_left_alone() -> None:
    # Given jobs in a queue that cannot be reached
    server = fakeredis.FakeServer()
    client = fakeredis.FakeRedis(server=server, decode_responses=True)
    client.lpush(QUEUE_NAME, "message")
    server.connected = False
    assert stays_silent(make(client, []))

"""Job records on a real server, on one where every request arrives twice, and on the fake one of the unit tests."""

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from shared.jobs.backlog import BacklogReader
from shared.jobs.store import Jobs
from tests.contract.jobs.bench import (
    LIMITS,
    QUEUE,
)
from tests.support.processes import RedisServer
from tests.support.twice import TwiceRedis
from worker.jobs.stalled import StalledJobs


@pytest.fixture(params=["real", "every request twice", "fake"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(kind: str, redis_server: RedisServer) -> Iterator[Any]:
    if kind == "fake":
        yield fakeredis.FakeRedis(decode_responses=True)
        return
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def jobs(kind: str, client: Any) -> Jobs:
    return Jobs(TwiceRedis(client) if kind == "every request twice" else client, QUEUE, LIMITS)


@pytest.fixture
def reader(client: Any) -> BacklogReader:
    return BacklogReader(client, QUEUE, LIMITS)


@pytest.fixture
def stalled(kind: str, client: Any) -> StalledJobs:
    return StalledJobs(TwiceRedis(client) if kind == "every request twice" else client, QUEUE)

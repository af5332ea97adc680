"""The kinds of servers that the scripts must behave alike on."""

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from tests.support.processes import RedisServer
from tests.support.twice import TwiceRedis


@pytest.fixture(params=["real", "every request twice", "fake"])
def each_client(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Any]:
    """An empty server, real or fake, or a real one that gets every request twice, as after a lost answer."""
    if request.param == "fake":
        yield fakeredis.FakeRedis(decode_responses=True)
        return
    with redis_server.client() as client:
        client.flushall()
        yield TwiceRedis(client) if request.param == "every request twice" else client

"""Connections to Redis fail in time when nobody answers."""

import time

import pytest
import redis

from deploy.local.embedded_redis import free_port
from shared.redis_client import connect
from shared.redis_server import reason_of
from shared.redis_url import parse_redis_url

# More than a request may take to notice that Redis is away; retries with pauses would take longer.
MOST_SECONDS = 4


def test_sentinels_that_are_not_there_are_noticed_in_time() -> None:
    places = ",".join(f"127.0.0.1:{free_port()}" for _ in range(3))
    client = connect(parse_redis_url(f"sentinel://:secret@{places}/name/0"), max_connections=1)
    began = time.monotonic()
    with pytest.raises(redis.ConnectionError) as failed:
        client.ping()
    assert time.monotonic() - began < MOST_SECONDS
    assert reason_of(failed.value) == "The sentinels in REDIS_URL cannot be reached, or know no primary of this name."

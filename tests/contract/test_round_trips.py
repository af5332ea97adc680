"""How often the API asks Redis, counted by the server itself."""

from collections.abc import Iterator

import pytest
import redis

from shared.api_keys import digest_of
from tests.support.outcomes import succeed
from tests.support.processes import RedisServer
from tests.support.redis_commands import sent
from tests.unit.api.conftest import encode, make_bench

KEY = {"X-API-Key": "alices key"}
# What this test and a new connection send.
OTHERS = {"config|resetstat", "info", "hello", "auth", "client|setinfo", "client|setname", "select", "ping"}


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of a separate server, because an image store of an earlier test may still use the shared one."""
    with server.client() as client:
        yield client


def asked(client: redis.Redis) -> dict[str, int]:
    """Return how often the API has sent each command since the last reset."""
    return {name: count for name, count in sent(client).items() if name not in OTHERS}


@pytest.mark.parametrize("keys", ["", f"alice:{digest_of('alices key')}"], ids=["without keys", "with keys"])
@pytest.mark.parametrize("prefer", ["", "wait=5"])
def test_a_result_is_read_once(client: redis.Redis, keys: str, prefer: str) -> None:
    # Given a job that has ended
    bench = make_bench(client, api_keys=keys)
    job_id = bench.upload(encode("PNG"), headers={**KEY, "Prefer": "respond-async"}).json["id"]
    succeed(bench.jobs, job_id, {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}, {})
    # When it is asked for
    client.config_resetstat()
    answer = bench.http.get(f"/result/{job_id}", headers={**KEY, "Prefer": prefer})
    # Then one command to Redis answers who may see it, whether it is there, and what it is
    assert (answer.status_code, answer.json["status"]) == (200, "succeeded")
    assert asked(client) == {"hgetall": 1}


def test_an_open_job_is_read_once_and_then_its_place_in_the_queue(client: redis.Redis) -> None:
    bench = make_bench(client)
    job_id = bench.upload(encode("PNG"), headers={"Prefer": "respond-async"}).json["id"]
    client.config_resetstat()
    assert bench.http.get(f"/result/{job_id}").json["position"] == 1
    # `zrank` asks for the place, the others for the `Retry-After`
    assert (asked(client)["hgetall"], asked(client)["zrank"], "exists" in asked(client)) == (1, 1, False)


def test_an_upload_does_not_read_the_workers(client: redis.Redis) -> None:
    # Given an API with a result cache, which needs the workers' result version
    bench = make_bench(client)
    bench.worker_beats()
    # When pictures are uploaded
    client.config_resetstat()
    for _ in range(2):
        assert bench.upload(encode("PNG"), headers={"Prefer": "respond-async"}).status_code == 202
    # Then each reads the cache, and none reads the workers: a background thread does that
    assert asked(client)["evalsha"] == 2
    assert not {"smembers", "pttl", "hgetall"} & asked(client).keys()

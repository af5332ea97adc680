"""Health: live is the process, ready is Redis, workers stand in the body."""

import fakeredis

from shared.workers import WorkerRecord, Workers
from tests.unit.api.conftest import Bench


def test_live_answers_whatever_redis_does(bench: Bench) -> None:
    bench.redis.connection_pool.connection_kwargs["server"].connected = False
    assert bench.http.get("/health/live").status_code == 200


def test_ready_without_workers_can_still_accept(bench: Bench) -> None:
    answer = bench.http.get("/health/ready")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "workers": []})


def test_ready_names_workers_and_models(bench: Bench) -> None:
    record = WorkerRecord("w1", "litert", "mobilenet_v2", "d" * 64, "litert-1:d", 2)
    Workers(bench.redis).beat(record)
    answer = bench.http.get("/health/ready")
    assert answer.json["workers"] == [
        {
            **{"name": "w1", "engine": "litert", "model": "mobilenet_v2", "digest": "d" * 64},
            **{"answers": "litert-1:d", "children": 2},
        }
    ]


def test_a_worker_whose_heartbeat_stopped_is_no_longer_named(bench: Bench) -> None:
    Workers(bench.redis).beat(WorkerRecord("w1", "litert", "m", "d", "litert-1:d", 2))
    bench.redis.delete("worker:w1")
    assert bench.http.get("/health/ready").json["workers"] == []
    assert bench.redis.smembers("workers") == set()


def test_ready_is_red_while_redis_is_away(bench: Bench) -> None:
    server: fakeredis.FakeServer = bench.redis.connection_pool.connection_kwargs["server"]
    server.connected = False
    assert bench.http.get("/health/ready").status_code == 503

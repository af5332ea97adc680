"""Health: live is the process, ready is Redis, workers stand in the body."""

from typing import Any

import pytest
import redis

from shared.version import VERSION
from shared.worker_registry import WorkerRecord
from tests.support.claims import claim_job, new_claim
from tests.support.outcomes import fail
from tests.unit.api.conftest import Bench


def test_live_answers_whatever_redis_does(bench: Bench) -> None:
    bench.lose_redis()
    answer = bench.http.get("/health/live")
    assert (answer.status_code, answer.json) == (200, {"status": "live", "version": VERSION})


def test_ready_without_workers_can_still_accept(bench: Bench) -> None:
    answer = bench.http.get("/health/ready")
    nothing = {"open": 0, "running": 0, "failed": 0}
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "workers": [], "jobs": nothing})


def test_ready_counts_jobs_and_tells_nothing_else_of_them(bench: Bench, png: bytes) -> None:
    # Given three jobs: one that has failed, one that runs, one that waits
    ids = []
    for _ in range(2):
        ids.append(bench.upload(png, headers={"Prefer": "respond-async"}).json["id"])
    claim_job(bench.jobs, ids[0], new_claim("w1"))
    fail(bench.jobs, ids[0], {"status": 500, "title": "A secret", "detail": "A secret"})
    ids.append(bench.upload(png, headers={"Prefer": "respond-async"}).json["id"])
    claim_job(bench.jobs, ids[1], new_claim("w1"))
    # When health is asked for, Then they are counted
    answer = bench.http.get("/health/ready")
    assert answer.json["jobs"] == {"open": 2, "running": 1, "failed": 1}
    # And neither ids nor reasons are told
    assert "secret" not in answer.text and not any(job_id in answer.text for job_id in ids)


def test_a_failed_job_that_can_no_longer_be_read_is_no_longer_counted(bench: Bench) -> None:
    # Given a job that failed longer ago than results are kept
    bench.redis.zadd("jobs:failed", {"old": 1})
    # When health is asked for, Then it does not count
    assert bench.http.get("/health/ready").json["jobs"]["failed"] == 0


def test_ready_names_workers_and_models(bench: Bench) -> None:
    bench.registry.beat(WorkerRecord("w1", "litert", "mobilenet_v2", "d" * 64, "litert-1:d", 2, 1001))
    answer = bench.http.get("/health/ready")
    assert answer.json["workers"] == [
        {
            **{"name": "w1", "engine": "litert", "model": "mobilenet_v2", "digest": "d" * 64},
            **{"answers": "litert-1:d", "children": 2, "labels": 1001},
        }
    ]


def test_a_worker_whose_heartbeat_stopped_is_no_longer_named(bench: Bench) -> None:
    bench.worker_beats()
    bench.redis.delete("worker:w1")
    assert bench.http.get("/health/ready").json["workers"] == []
    assert bench.redis.smembers("workers") == set()


def test_ready_is_red_while_redis_is_away(bench: Bench) -> None:
    bench.lose_redis()
    assert bench.http.get("/health/ready").status_code == 503


EVICTS = {"used_memory": 1, "maxmemory": 100}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({**EVICTS, "maxmemory_policy": "allkeys-lru"}, "allkeys-lru"),
        ({**EVICTS, "maxmemory_policy": "volatile-ttl"}, "volatile-ttl"),
        ({"redis_mode": "cluster"}, "cluster mode"),
        ({"server_mode": "cluster"}, "cluster mode"),
        ({"cluster_enabled": 1}, "cluster mode"),
        ({"redis_mode": "sentinel"}, "sentinel"),
        ({"role": "slave"}, "replica"),
        ({"redis_version": "5.0.14"}, "5.0.14 is too old"),
        ({"redis_version": "6.0.20"}, "6.0.20 is too old"),
    ],
)
def test_ready_says_why_redis_is_not_fit(bench: Bench, info: dict[str, Any], reason: str) -> None:
    bench.redis.answer = info
    answer = bench.http.get("/health/ready")
    assert (answer.status_code, reason in answer.json["error"]) == (503, True), answer.text


@pytest.mark.parametrize(
    "info",
    [
        {},
        {**EVICTS, "maxmemory_policy": "noeviction"},
        # Without a limit nothing is evicted.
        {"maxmemory": 0, "maxmemory_policy": "allkeys-lru"},
        {"redis_mode": "standalone", "role": "master", "redis_version": "6.2.0", "cluster_enabled": 0},
        {"redis_version": "255.255.255"},
        {"redis_version": "unstable"},
    ],
)
def test_ready_takes_a_server_that_is_fit(bench: Bench, info: dict[str, Any]) -> None:
    bench.redis.answer = info
    assert bench.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), "refuses the user name"),
        (redis.AuthenticationError("HELLO must be called with the client already authenticated"), "has none"),
        (redis.ResponseError("DB index is out of range"), "no database"),
        (redis.ResponseError("unknown command 'HELLO'"), "6.2 or newer"),
        (redis.exceptions.NoPermissionError("User me has no permissions to run the 'info' command"), "may not run"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
        (redis.ConnectionError("Error 111 connecting to hunter2:1"), "cannot reach its storage"),
        (redis.TimeoutError("Timeout reading from hunter2:1"), "cannot reach its storage"),
    ],
)
def test_ready_says_why_redis_does_not_answer(bench: Bench, error: Exception, reason: str) -> None:
    def fail() -> None:
        raise error

    bench.redis.info = fail
    answer = bench.http.get("/health/ready")
    assert (answer.status_code, reason in answer.json["error"], "hunter2" in answer.text) == (503, True, False)

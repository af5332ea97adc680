"""Health: live is the process, ready is Redis, workers stand in the body."""

import fakeredis

from shared.queue import Queue
from shared.workers import WorkerRecord, Workers
from tests.support.claims import claim_job, new_claim
from tests.unit.api.conftest import Bench


def test_live_answers_whatever_redis_does(bench: Bench) -> None:
    bench.redis.connection_pool.connection_kwargs["server"].connected = False
    assert bench.http.get("/health/live").status_code == 200


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
    bench.jobs.fail(ids[0], {"status": 500, "title": "A secret", "detail": "A secret"})
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
    record = WorkerRecord("w1", "litert", "mobilenet_v2", "d" * 64, "litert-1:d", 2)
    Workers(bench.redis, Queue()).beat(record)
    answer = bench.http.get("/health/ready")
    assert answer.json["workers"] == [
        {
            **{"name": "w1", "engine": "litert", "model": "mobilenet_v2", "digest": "d" * 64},
            **{"answers": "litert-1:d", "children": 2},
        }
    ]


def test_a_worker_whose_heartbeat_stopped_is_no_longer_named(bench: Bench) -> None:
    Workers(bench.redis, Queue()).beat(WorkerRecord("w1", "litert", "m", "d", "litert-1:d", 2))
    bench.redis.delete("worker:w1")
    assert bench.http.get("/health/ready").json["workers"] == []
    assert bench.redis.smembers("workers") == set()


def test_ready_is_red_while_redis_is_away(bench: Bench) -> None:
    server: fakeredis.FakeServer = bench.redis.connection_pool.connection_kwargs["server"]
    server.connected = False
    assert bench.http.get("/health/ready").status_code == 503

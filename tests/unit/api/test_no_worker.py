"""What a client is told while no worker is running: at once, or after the grace time."""

import threading
import time
from typing import Any

import pytest

from shared.jobs.queue import Queue
from shared.worker_registry import WorkerRecord, WorkerRegistry
from tests.support.outcomes import succeed
from tests.support.wait import eventually
from tests.unit.api.conftest import Bench, make_bench

LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
SENTENCE = "No worker is running; the job is kept."
ASYNC = {"Prefer": "respond-async"}


def bench_without_worker(grace_seconds: float, **settings: Any) -> Bench:
    """An API that has just seen that no worker is there."""
    bench = make_bench(no_worker_grace_seconds=grace_seconds, **settings)
    bench.ready_workers.read()
    return bench


def test_a_plain_upload_is_answered_at_once_when_no_worker_was_there_for_the_grace_time(png: bytes) -> None:
    # Given an API that has seen no worker for longer than the grace time
    bench = bench_without_worker(0.05)
    eventually(bench.ready_workers.absent, what="the end of the grace time")
    # When a client uploads plainly
    began = time.monotonic()
    answer = bench.upload(png)
    # Then it is told so at once, and where its job is
    assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json["error"]) == (504, f"{SENTENCE} Poll its `Location`.")
    # And the job is kept, and says so too
    found = bench.http.get(answer.headers["Location"])
    assert (found.status_code, found.json["detail"], found.json["position"]) == (202, SENTENCE, 1)


def test_a_plain_upload_waits_for_the_grace_time_and_no_longer(png: bytes) -> None:
    # Given an API that has just seen its last worker leave
    bench = bench_without_worker(1.5)
    # When a client uploads plainly
    began = time.monotonic()
    answer = bench.upload(png)
    # Then it waits for a worker that may start, but not for the 30 seconds of a long job
    assert answer.status_code == 504 and answer.json["error"].startswith(SENTENCE)
    assert 1 < time.monotonic() - began < 10


def test_a_worker_that_leaves_while_an_upload_waits_is_noticed(png: bytes) -> None:
    # Given a worker, and a plain upload that waits for it
    bench = make_bench(no_worker_grace_seconds=0.5)
    bench.worker_beats()
    answers: list[Any] = []
    upload = threading.Thread(target=lambda: answers.append(bench.upload(png)))
    upload.start()
    eventually(lambda: bench.published, what="a job")
    # When the worker leaves
    WorkerRegistry(bench.redis, Queue()).leave("w1")
    bench.ready_workers.read()
    # Then the upload waits for the grace time only
    upload.join(10)
    assert [answer.status_code for answer in answers] == [504]


def test_a_worker_that_starts_in_time_gives_the_upload_its_labels(png: bytes) -> None:
    # Given a plain upload that waits without a worker
    bench = bench_without_worker(1.5)
    end_of_grace = time.monotonic() + 1.5
    bench.waiters.start()
    answers: list[Any] = []
    upload = threading.Thread(target=lambda: answers.append(bench.upload(png)))
    upload.start()
    (job_id,) = eventually(lambda: bench.published, what="a job")
    # When one starts and ends the job after what would have been the end of the wait
    bench.worker_beats()
    eventually(lambda: time.monotonic() > end_of_grace, what="the end of the grace time")
    succeed(bench.jobs, job_id, LABELS, {})
    # Then the client gets the labels
    upload.join(10)
    assert [(answer.status_code, answer.json) for answer in answers] == [(200, LABELS)]


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
def test_a_202_says_it_too(png: bytes, prefer: str) -> None:
    bench = bench_without_worker(0)
    answer = bench.upload(png, headers={"Prefer": prefer})
    assert (answer.status_code, answer.json["detail"]) == (202, SENTENCE)


def test_while_a_worker_may_be_there_nobody_is_told_otherwise(png: bytes) -> None:
    # Given an API that has not read the workers yet, and one that has just seen none
    for bench in (make_bench(no_worker_grace_seconds=0), bench_without_worker(15)):
        # Then the answer has no such sentence
        answer = bench.upload(png, headers=ASYNC)
        assert "detail" not in answer.json
        assert "detail" not in bench.http.get(answer.headers["Location"]).json


def test_the_grace_time_begins_again_after_redis_was_away(png: bytes) -> None:
    # Given an API that has seen no worker for the grace time
    bench = bench_without_worker(0)
    assert bench.ready_workers.absent()
    # When Redis does not answer, Then nothing is known
    connection = bench.redis.connection_pool.connection_kwargs["server"]
    connection.connected = False
    bench.ready_workers.read()
    assert not bench.ready_workers.absent()
    # And when it answers again, the workers count that are there
    connection.connected = True
    bench.worker_beats()
    assert not bench.ready_workers.absent() and bench.ready_workers.result_version


def test_no_grace_time_is_longer_than_the_wait(png: bytes) -> None:
    bench = bench_without_worker(60, wait_seconds=0.05)
    eventually(bench.ready_workers.absent, 10, "the end of the grace time")


def test_the_workers_are_read_while_nobody_asks() -> None:
    bench = make_bench(no_worker_grace_seconds=0)
    bench.ready_workers.start()
    eventually(bench.ready_workers.absent, what="no worker")
    WorkerRegistry(bench.redis, Queue()).beat(WorkerRecord("w1", "litert", "m", "d", "litert-1:d", 1))
    eventually(lambda: bench.ready_workers.result_version == "litert-1:d", what="a worker")


def test_a_job_that_has_ended_is_not_kept_waiting_by_anybody(png: bytes) -> None:
    # Given a job that has ended before the workers left
    bench = make_bench(no_worker_grace_seconds=0)
    headers = {**ASYNC, "Idempotency-Key": "k"}
    job_id = bench.upload(png, headers=headers).json["id"]
    succeed(bench.jobs, job_id, LABELS, {})
    bench.ready_workers.read()
    # When the picture is sent again, Then its labels are there, and nothing is said of workers
    assert "detail" not in bench.upload(png, headers=headers).json
    assert bench.upload(png, headers={"Idempotency-Key": "k"}).json == LABELS


def test_a_worker_that_has_just_started_is_not_missed(png: bytes) -> None:
    # Given an API that has seen no worker for longer than the grace time
    bench = bench_without_worker(0)
    assert bench.ready_workers.absent()
    # When one starts, Then it is noticed without a look of the API's thread
    WorkerRegistry(bench.redis, Queue()).beat(WorkerRecord("w1", "litert", "m", "d", "litert-1:d", 1))
    eventually(lambda: not bench.ready_workers.absent(), 5, "the worker")

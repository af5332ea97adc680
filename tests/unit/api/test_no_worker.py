"""Answers while no worker is running: 504 after the grace time, and a `detail` in every 202."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api import waiters
from shared.worker_registry import WorkerRecord, WorkerRegistry
from tests.support.outcomes import succeed
from tests.support.wait import eventually
from tests.unit.api.conftest import Bench, make_bench, worker_record

LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
SENTENCE = "No worker is running; the job is kept."
ASYNC = {"Prefer": "respond-async"}
LOOK_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiting requests check more often whether to stop waiting."""
    monkeypatch.setattr(waiters, "LOOK_SECONDS", LOOK_SECONDS)


def bench_without_worker(grace_seconds: float, **settings: Any) -> Bench:
    """Return an API that has just read that no worker is ready."""
    bench = make_bench(no_worker_grace_seconds=grace_seconds, **settings)
    bench.ready_workers.read()
    return bench


def test_a_plain_upload_gets_504_at_once_after_the_grace_time(png: bytes) -> None:
    # Given an API without a ready worker for longer than the grace time
    bench = bench_without_worker(0.05)
    eventually(bench.ready_workers.absent, what="the end of the grace time")
    # When a client sends a plain upload
    began = time.monotonic()
    answer = bench.upload(png)
    # Then it gets a 504 with the job's location at once
    assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json["error"]) == (504, f"{SENTENCE} Poll its `Location`.")
    # And the job is kept, with the same message
    found = bench.http.get(answer.headers["Location"])
    assert (found.status_code, found.json["detail"], found.json["position"]) == (202, SENTENCE, 1)


def test_a_plain_upload_waits_no_longer_than_the_grace_time(png: bytes) -> None:
    # Given an API whose last worker has just stopped
    bench = bench_without_worker(1.5)
    # When a client sends a plain upload
    began = time.monotonic()
    answer = bench.upload(png)
    # Then it waits for the grace time, not for `WAIT_SECONDS`
    assert answer.status_code == 504 and answer.json["error"].startswith(SENTENCE)
    assert 1 < time.monotonic() - began < 10


def test_a_worker_that_stops_while_an_upload_waits_is_noticed(png: bytes) -> None:
    # Given a worker, and a plain upload that waits for its result
    bench = make_bench(no_worker_grace_seconds=0.5)
    bench.worker_beats()
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(bench.upload, png)
        eventually(lambda: bench.published, what="a job")
        # When the worker stops
        bench.registry.leave("w1")
        bench.ready_workers.read()
        # Then the upload waits only for the grace time
        assert upload.result(10).status_code == 504


def test_an_upload_gets_its_labels_if_a_worker_starts_within_the_grace_time(png: bytes) -> None:
    # Given a plain upload that waits while there is no worker
    bench = bench_without_worker(1.5)
    end_of_grace = time.monotonic() + 1.5
    bench.waiters.start()
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(bench.upload, png)
        (job_id,) = eventually(lambda: bench.published, what="a job")
        # When a worker starts in time, Then the upload still waits after the end of the grace time
        bench.worker_beats()
        eventually(lambda: time.monotonic() > end_of_grace + 10 * LOOK_SECONDS, what="the end of the grace time")
        assert not upload.done()
        # And the client gets its labels when the job finishes
        succeed(bench.jobs, job_id, LABELS, {})
        answer = upload.result(10)
    assert (answer.status_code, answer.json) == (200, LABELS)


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
def test_a_202_has_the_same_message(png: bytes, prefer: str) -> None:
    bench = bench_without_worker(0)
    answer = bench.upload(png, headers={"Prefer": prefer})
    assert (answer.status_code, answer.json["detail"]) == (202, SENTENCE)


def test_there_is_no_message_before_the_end_of_the_grace_time(png: bytes) -> None:
    # Given an API that has not read the ready workers yet, and one that has just found none
    for bench in (make_bench(no_worker_grace_seconds=0), bench_without_worker(15)):
        # Then the answer has no message
        answer = bench.upload(png, headers=ASYNC)
        assert "detail" not in answer.json
        assert "detail" not in bench.http.get(answer.headers["Location"]).json


def test_an_outage_of_redis_restarts_the_grace_time(png: bytes) -> None:
    # Given an API without a ready worker for the grace time
    bench = bench_without_worker(0)
    assert bench.ready_workers.absent()
    # When Redis does not answer, Then the workers do not count as absent
    bench.lose_redis()
    bench.ready_workers.read()
    assert not bench.ready_workers.absent()
    # And when it answers again, ready workers are found
    bench.restore_redis()
    bench.worker_beats()
    assert not bench.ready_workers.absent() and bench.ready_workers.result_version


def test_the_grace_time_is_at_most_wait_seconds(png: bytes) -> None:
    bench = bench_without_worker(60, wait_seconds=0.05)
    eventually(bench.ready_workers.absent, 10, "the end of the grace time")


def test_no_upload_is_answered_by_a_read_from_before_a_worker_started(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an API without a worker, and a read of the workers that is slow
    bench = bench_without_worker(0)
    begun, go_on = threading.Event(), threading.Event()
    ready = WorkerRegistry.ready

    def slow(registry: WorkerRegistry) -> list[WorkerRecord]:
        found = ready(registry)
        begun.set()
        go_on.wait(10)
        return found

    monkeypatch.setattr(WorkerRegistry, "ready", slow)
    with ThreadPoolExecutor(9) as pool:
        reading = pool.submit(bench.ready_workers.read)
        begun.wait(10)
        # When a worker starts during that read, and many requests ask for it then
        bench.registry.beat(worker_record())
        asking = [pool.submit(bench.ready_workers.absent) for _ in range(8)]
        go_on.set()
        # Then none is told that there is no worker
        assert [each.result(10) for each in (reading, *asking)] == [None, *[False] * 8]


def test_the_workers_are_read_in_the_background_and_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    # Given an API without a worker
    caplog.set_level("INFO")
    bench = make_bench(no_worker_grace_seconds=0)
    bench.ready_workers.start()
    eventually(lambda: "No worker is running" in caplog.text, what="a line about no worker")
    # When a worker starts
    bench.registry.beat(worker_record())
    # Then it is noticed, and each change has one line
    eventually(lambda: "A worker is ready again" in caplog.text, what="a line about a worker")
    assert bench.ready_workers.result_version == "litert-1:d"
    assert [caplog.text.count(line) for line in ("No worker is running", "A worker is ready again")] == [1, 1]


def test_a_finished_job_is_answered_without_the_message(png: bytes) -> None:
    # Given a job that finished before the workers stopped
    bench = make_bench(no_worker_grace_seconds=0)
    headers = {**ASYNC, "Idempotency-Key": "k"}
    job_id = bench.upload(png, headers=headers).json["id"]
    succeed(bench.jobs, job_id, LABELS, {})
    bench.ready_workers.read()
    # When the picture is sent again, Then the answer has the labels and no message about workers
    assert "detail" not in bench.upload(png, headers=headers).json
    assert bench.upload(png, headers={"Idempotency-Key": "k"}).json == LABELS


def test_a_worker_that_has_just_started_is_noticed(png: bytes) -> None:
    # Given an API without a ready worker for longer than the grace time
    bench = bench_without_worker(0)
    assert bench.ready_workers.absent()
    # When a worker starts, Then it is noticed without the background thread
    bench.registry.beat(worker_record())
    eventually(lambda: not bench.ready_workers.absent(), 5, "the worker")

"""Processes and Redis go away; jobs and service come back by themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.jobs.queue import QUEUE_NAME
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT
from tests.support.wait import eventually, in_time

PICTURE = (ROOT / "examples" / "traffic_light.png").read_bytes()


@pytest.fixture
def own(server: RedisServer, tmp_path: Path, model_dir: Path) -> Iterator[Service]:
    """A service that a test may break."""
    service = Service(server.url, tmp_path, model_dir)
    yield service
    service.stop()


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def test_jobs_wait_for_a_worker_that_is_not_there_yet(own: Service) -> None:
    # Given pictures accepted while no worker runs
    own.start_api()
    ids = [own.accept(PICTURE) for _ in range(5)]
    # When a worker comes
    own.start_worker()
    # Then all are answered
    assert {own.finished(job_id, 60)["status"] for job_id in ids} == {"succeeded"}


def test_the_jobs_of_a_killed_worker_are_finished_by_another(own: Service) -> None:
    # Given two workers at work on a backlog
    own.start_api()
    first, _ = own.start_worker(), own.start_worker()
    own.wait_ready(2)
    ids = [own.accept(PICTURE) for _ in range(60)]
    # When one is killed with its children
    first.kill()
    # Then every job is finished, within the minute
    assert {own.finished(job_id, 60)["status"] for job_id in ids} == {"succeeded"}


def test_a_killed_child_is_replaced_and_its_jobs_are_finished(own: Service) -> None:
    # Given a worker at work
    own.start_api()
    worker = own.start_worker()
    own.wait_ready()
    ids = [own.accept(PICTURE) for _ in range(40)]
    # When its child is killed
    (child,) = children(worker.pid)
    os.kill(child, signal.SIGKILL)
    # Then another one finishes everything
    assert {own.finished(job_id, 60)["status"] for job_id in ids} == {"succeeded"}
    assert child not in children(worker.pid)


def test_sigterm_lets_a_worker_finish_what_runs_and_hand_back_the_rest(own: Service) -> None:
    # Given a worker with a backlog
    own.start_api()
    worker = own.start_worker()
    own.wait_ready()
    ids = [own.accept(PICTURE) for _ in range(40)]
    # When it is told to stop
    assert worker.stop() == 0
    # Then the next one finishes the rest
    own.start_worker()
    records = [own.finished(job_id, 60) for job_id in ids]
    assert {record["status"] for record in records} == {"succeeded"}
    assert {record["attempts"] for record in records} == {1}


def test_redis_may_be_away_and_come_back(own: Service, server: RedisServer) -> None:
    # Given a service
    own.start_api()
    own.start_worker()
    own.wait_ready()
    # When Redis goes away
    server.kill()
    # Then an upload is refused at once with a sentence, live stays green and ready turns red
    answer = in_time(lambda: own.upload(PICTURE), 2)
    assert answer.status_code == 503 and "storage" in answer.json()["error"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert own.result("0" * 32).status_code == 503
    # And when it is back, so is the service
    server.start()
    eventually(lambda: own.upload(PICTURE).status_code == 200, 30, "an answer")


def test_accepted_jobs_survive_a_restart_of_redis(own: Service, server: RedisServer) -> None:
    # Given jobs that nobody has begun
    own.start_api()
    ids = [own.accept(PICTURE) for _ in range(5)]
    # When Redis is restarted
    server.stop()
    server.start()
    # Then a worker finds them
    own.start_worker()
    assert {own.finished(job_id, 60)["status"] for job_id in ids} == {"succeeded"}


def test_a_worker_without_redis_says_so_and_joins_when_it_comes(own: Service, server: RedisServer) -> None:
    # Given no Redis
    own.start_api()
    server.stop()
    # When a worker starts, Then its log says what it lacks
    worker = own.start_worker()
    eventually(lambda: "Cannot connect to redis" in worker.output, 30, "a line about Redis")
    # And when Redis comes, it serves
    server.start()
    own.wait_ready()


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_worker_without_a_good_model_exits_with_what_to_do(
    own: Service, model_dir: Path, tmp_path: Path, damage: str
) -> None:
    # Given a model folder that is not there, or whose model file was cut
    folder = tmp_path / "model"
    if damage == "cut":
        subprocess.run(["cp", "-r", str(model_dir), str(folder)], check=True)
        with (folder / "model.tflite").open("r+b") as file:
            file.truncate(1000)
    # When a worker starts
    worker = own.start_worker(MODEL_DIR=str(folder))
    # Then it exits and says what to do
    assert worker.wait(30) == 3
    assert "make model" in worker.output and "Traceback" not in worker.output


def test_a_worker_that_no_longer_hears_ends_itself_and_nothing_is_lost(own: Service, server: RedisServer) -> None:
    # Given a worker that stops consuming after its first delivery, though it lives
    own.start_api()
    worker = own.start_worker("tests.support.deaf_worker", JOB_TIME_LIMIT_SECONDS="2")
    own.wait_ready()
    ids = [own.accept(PICTURE)]
    own.finished(ids[0], 60)
    # When jobs pile up in its queue
    with server.client() as client:

        def piled_up() -> bool:
            ids.append(own.accept(PICTURE))
            return bool(client.llen(QUEUE_NAME) >= 5)

        eventually(piled_up, 30)
    # Then it exits and says why
    worker.wait(60)
    assert "this worker takes none" in worker.output
    # And the next one does them
    own.start_worker()
    assert {own.finished(job_id, 60)["status"] for job_id in ids} == {"succeeded"}


def test_failed_jobs_can_be_listed_with_their_reasons(own: Service, server: RedisServer) -> None:
    # Given a job that failed
    own.start_api()
    own.start_worker()
    job_id = own.accept(PICTURE[: len(PICTURE) // 2])
    own.finished(job_id, 60)
    # When an operator lists them
    command = [sys.executable, "-m", "shared.jobs.failed"]
    environ = {**os.environ, "REDIS_URL": server.url}
    listed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    # Then job and reason are there
    assert job_id in listed and "cannot be decoded" in listed and "1 of 1 failed job; 0 can be retried" in listed


def test_a_bad_setting_stops_both_processes_and_is_named(own: Service) -> None:
    worker = own.start_worker(WORKERS="many")
    assert worker.wait(30) == 2
    assert "WORKERS='many'" in worker.output and "Traceback" not in worker.output

"""Pictures wait on an S3 server: a real API and worker, moto's server, and a line to it that breaks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pictures import TRAFFIC_LIGHT
from tests.support.processes import Process, RedisServer, Service
from tests.support.s3_server import BUCKET, S3Server
from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy
from tests.support.wait import eventually

FOLDER = "waiting"
PICTURE = TRAFFIC_LIGHT.read_bytes()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def stored(server: RedisServer, s3: S3Server, model_dir: Path, tmp_path: Path) -> Iterator[Service]:
    """An API whose pictures wait in the bucket; a job may begin once."""
    settings = {"IMAGE_STORE_URL": f"s3://{BUCKET}/{FOLDER}", "JOB_ATTEMPTS": "1", "AWS_MAX_ATTEMPTS": "1"}
    service = Service(server.url, tmp_path / "service", model_dir, **settings, **s3.environ)
    try:
        service.start_api()
        yield service
    finally:
        service.stop()


@pytest.mark.parametrize("engine", ["litert", "tensorflow"])
def test_pictures_lie_in_the_bucket_while_they_wait_and_not_longer(stored: Service, s3: S3Server, engine: str) -> None:
    # Given pictures that wait for a worker
    jobs = [stored.accept(PICTURE) for _ in range(5)]
    assert sorted(s3.names(FOLDER)) == sorted(jobs)
    # When one comes, with children or with threads
    stored.start_worker(ENGINE=engine, MAX_BATCH="4")
    # Then all end well, and nothing is left
    assert {stored.finished(job, 60)["status"] for job in jobs} == {"succeeded"}
    eventually(lambda: not s3.names(FOLDER), 10, "an empty folder")


def test_a_store_with_a_host_name_stores_pictures_and_lets_the_api_stop(
    server: RedisServer, s3: S3Server, tmp_path: Path
) -> None:
    # Given a store whose host name must be resolved
    environ = {**s3.environ, "AWS_ENDPOINT_URL": f"http://localhost:{s3.port}"}
    service = Service(server.url, tmp_path, tmp_path, IMAGE_STORE_URL=f"s3://{BUCKET}/{FOLDER}", **environ)
    try:
        api = service.start_api()
        # When a picture is accepted, Then it is in the bucket
        job = service.accept(PICTURE)
        assert s3.names(FOLDER) == [job]
        # And the API stops on SIGTERM
        assert api.stop() == 0
    finally:
        service.stop()


def test_jobs_wait_for_a_store_that_a_worker_cannot_reach(stored: Service, s3: S3Server) -> None:
    with TcpProxy(s3.port) as line:
        # Given a worker whose line to the store breaks
        worker = stored.start_worker(AWS_ENDPOINT_URL=f"http://127.0.0.1:{line.port}")
        stored.wait_ready()
        line.fault = Fault(refuse=True)
        # When pictures come, Then it gives their jobs back
        jobs = [stored.accept(PICTURE) for _ in range(2)]
        eventually(lambda: all(postponed(worker, job) for job in jobs), 60, "jobs that are postponed")
        # And when the line is mended, it does them, as no attempt was counted
        line.fault = HEALTHY
        ends = [stored.finished(job, 60) for job in jobs]
        assert [(end["status"], end["attempts"]) for end in ends] == [("succeeded", 1)] * 2


def test_a_worker_that_starts_while_the_store_is_away_waits_for_it(stored: Service, s3: S3Server) -> None:
    with TcpProxy(s3.port) as line:
        # Given a job, and a line to the store that is broken
        job = stored.accept(PICTURE)
        line.fault = Fault(refuse=True)
        # When a worker starts, Then it runs, and the job waits
        worker = stored.start_worker(AWS_ENDPOINT_URL=f"http://127.0.0.1:{line.port}")
        stored.wait_ready()
        eventually(lambda: postponed(worker, job), 60, "a job that is postponed")
        # And when the line is mended, it does it
        line.fault = HEALTHY
        end = stored.finished(job, 60)
        assert (end["status"], end["attempts"]) == ("succeeded", 1)


def postponed(worker: Process, job: str) -> bool:
    return any("the image store says" in line and job in line for line in worker.output.splitlines())


def test_uploads_are_refused_while_the_store_is_away(stored: Service, s3: S3Server) -> None:
    # When there is no store any more
    s3.kill()
    # Then an upload gets a 503, which may be tried again
    answer = stored.upload(PICTURE)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text


def test_who_cannot_use_the_store_says_so_and_ends(stored: Service) -> None:
    # Given jobs that wait
    job = stored.accept(PICTURE)
    # When a worker is told of a bucket that is not there, Then it ends with a sentence, and the job waits
    worker = stored.start_worker(IMAGE_STORE_URL="s3://mistyped/waiting")
    assert worker.wait(60) == 2
    assert "worker: IMAGE_STORE_URL: The specified bucket does not exist" in worker.output
    assert stored.result(job).status_code == 202
    # And one that is told the right one does it
    stored.start_worker()
    assert stored.finished(job, 60)["status"] == "succeeded"

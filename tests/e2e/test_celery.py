"""Celery's own commands, run against real workers."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import redis

from shared.jobs.queue import QUEUE_NAME
from tests.support.commands import call
from tests.support.processes import Process, RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, make_picture, read_executions
from tests.support.wait import eventually

STUB = "tests.support.stub_worker"
JOBS = 5


class CeleryService(Service):
    """A service with the stand-in for a model, and Celery's commands for it."""

    def __init__(self, redis_url: str, folder: Path, **settings: str) -> None:
        self.executions = folder / "executions"
        self.environ = {"REDIS_URL": redis_url, **settings}
        # A job may have to wait for several commands, each of which takes a second or two.
        given = {"JOB_TIME_LIMIT_SECONDS": "60", **settings, EXECUTIONS: str(self.executions)}
        super().__init__(redis_url, folder, folder, **given)

    def start(self) -> Process:
        """Start the API and one worker; return the worker when it is ready."""
        self.start_api()
        worker = self.start_worker(STUB)
        self.wait_ready()
        return worker

    def celery(self, *arguments: str) -> "CompletedProcess[str]":
        """Run one of Celery's commands to its end."""
        return call([sys.executable, "-m", "celery", "-A", "worker", *arguments], self.environ, 60)

    def inspect(self, command: str) -> str:
        """Return what the only worker replies to a command of `celery inspect`, as JSON."""
        done = self.celery("inspect", command, "--json", "--timeout", "3")
        assert done.returncode == 0, done.stdout
        [reply] = json.loads(done.stdout).values()
        return json.dumps(reply)

    @contextmanager
    def events(self, log: Path) -> Iterator[Process]:
        """What `celery events` shows meanwhile is written to `log`."""
        command = [sys.executable, "-u", "-m", "celery", "-A", "worker", "events", "--dump"]
        process = Process(command, log, **self.environ)
        try:
            eventually(lambda: "heartbeat" in process.output, 30, "a heartbeat of the worker")
            yield process
        finally:
            process.kill()


@pytest.fixture
def make_service(server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., CeleryService]]:
    """What makes services, each with a folder of its own."""
    made: list[CeleryService] = []

    def make(url: str = server.url, **settings: str) -> CeleryService:
        made.append(CeleryService(url, tmp_path / str(len(made)), **settings))
        return made[-1]

    yield make
    for service in made:
        service.stop()


def test_celery_asks_a_running_worker(make_service: Callable[..., CeleryService], tmp_path: Path) -> None:
    # Given a worker with a job
    service = make_service()
    service.start()
    job_id = service.accept(make_picture(f"until={tmp_path / 'go'}"))
    eventually(lambda: read_executions(service.executions), what="a running job")
    # When Celery's commands ask, Then the worker replies
    status = service.celery("status")
    assert status.returncode == 0 and "1 node online" in status.stdout
    assert service.inspect("ping") == '{"ok": "pong"}'
    assert job_id in service.inspect("active")
    assert '"classify"' in service.inspect("registered")
    stats = json.loads(service.inspect("stats"))
    assert stats["pool"]["max-concurrency"] == 1
    # And the job goes on
    (tmp_path / "go").touch()
    assert service.finished(job_id)["status"] == "succeeded"


def test_revoking_a_task_cancels_its_job(make_service: Callable[..., CeleryService], tmp_path: Path) -> None:
    # Given a worker with a job that runs, one that waits and one that has ended
    service = make_service()
    service.start()
    ended = service.accept(make_picture())
    service.finished(ended)
    running = service.accept(make_picture(f"until={tmp_path / 'go'}"))
    eventually(lambda: len(read_executions(service.executions)) == 2, what="a running job")
    waiting = service.accept(make_picture())
    # When all are revoked
    assert "2 of 3 jobs canceled" in service.celery("control", "revoke", running, waiting, ended).stdout
    # Then those that were open are canceled, as by DELETE
    for job_id in (running, waiting):
        assert service.finished(job_id)["status"] == "canceled"
    assert service.finished(ended)["status"] == "succeeded"
    # And the worker does the next job, and never did that which waited
    (tmp_path / "go").touch()
    assert service.finished(service.accept(make_picture()))["status"] == "succeeded"
    assert len(read_executions(service.executions)) == 3


def test_shutdown_finishes_what_runs_and_leaves_the_rest(
    make_service: Callable[..., CeleryService], tmp_path: Path
) -> None:
    # Given a worker with more jobs than it runs at once
    service = make_service(CONSUME_SECONDS="0")
    worker = service.start()
    first = service.accept(make_picture(f"until={tmp_path / 'go'}"))
    eventually(lambda: read_executions(service.executions), what="a running job")
    rest = [service.accept(make_picture()) for _ in range(JOBS)]
    # When it is told to shut down
    service.celery("control", "shutdown")
    eventually(lambda: "Got shutdown from remote" in worker.output, what="a word about the shutdown")
    (tmp_path / "go").touch()
    # Then it ends well, with its job done and the rest waiting
    assert worker.wait(30) == 0, worker.output
    assert service.finished(first)["status"] == "succeeded"
    assert {service.result(job_id).json()["status"] for job_id in rest} == {"queued"}
    # And the next worker does those at their first attempt
    service.start_worker(STUB)
    assert {service.finished(job_id)["attempts"] for job_id in rest} == {1}


def test_control_commands_that_would_break_a_worker_are_refused(make_service: Callable[..., CeleryService]) -> None:
    service = make_service()
    service.start()
    for command in ("pool_grow 1", "pool_shrink 1", "autoscale 2 1", "rate_limit classify 1/s", "terminate KILL j"):
        done = service.celery("control", *command.split())
        assert "ERROR" in done.stdout, (command, done.stdout)


def test_a_bare_celery_worker_is_refused_and_takes_no_job(
    make_service: Callable[..., CeleryService], server: RedisServer
) -> None:
    # Given a job
    service = make_service()
    service.start_api()
    job_id = service.accept(make_picture())
    # When somebody starts a worker as other Celery programs do
    done = service.celery("worker")
    # Then a sentence says what to do instead, and the job waits
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("celery: start a worker with `python -m worker`"), done.stdout
    with server.client() as client:
        assert client.llen(QUEUE_NAME) == 1
    assert service.result(job_id).json()["status"] == "queued"


def test_two_services_on_one_database_do_not_hear_each_other(
    make_service: Callable[..., CeleryService], tmp_path: Path
) -> None:
    # Given two services with a prefix each, one of which uses a Unix socket
    own = RedisServer(tmp_path / "own", "--unixsocket", str(tmp_path / "redis.sock"))
    try:
        cats = make_service(f"unix://{tmp_path / 'redis.sock'}", REDIS_PREFIX="cats:")
        dogs = make_service(own.url, REDIS_PREFIX="dogs:")
        cats_worker, dogs_worker = cats.start(), dogs.start()
        # When the workers of each are asked, Then its own one replies
        assert str(cats_worker.pid) in cats.celery("status").stdout
        assert "1 node online" in cats.celery("status").stdout
        assert str(dogs_worker.pid) in dogs.celery("status").stdout
        # And when one is shut down, the other goes on
        dogs.celery("control", "shutdown")
        assert dogs_worker.wait(30) == 0
        assert cats_worker.running
        # And nothing was written beside their keys
        with own.client() as client:
            assert [key for key in client.scan_iter() if not key.startswith(("cats:", "dogs:"))] == []
    finally:
        own.kill()


def test_other_programs_on_the_database_do_not_reach_the_workers(
    make_service: Callable[..., CeleryService], tmp_path: Path
) -> None:
    # Given a worker, and another Celery program on its database
    service = make_service()
    worker = service.start()
    program = (
        "import sys; from celery import Celery; app = Celery(broker=sys.argv[1]); print(app.control.ping(timeout=3))"
    )
    # When that asks its workers, Then this one does not reply
    done = call([sys.executable, "-c", program, service.environ["REDIS_URL"]], {}, 60)
    assert done.stdout.strip() == "[]"
    # And when it ends its workers, this one goes on
    call([sys.executable, "-m", "celery", "-b", service.environ["REDIS_URL"], "control", "shutdown"], {}, 60)
    assert "pong" in service.inspect("ping")
    assert worker.running


def test_a_command_on_a_full_redis_ends_no_worker(make_service: Callable[..., CeleryService]) -> None:
    # Given a worker on a Redis that takes nothing more
    service = make_service()
    worker = service.start()
    with redis.Redis.from_url(service.environ["REDIS_URL"]) as client:
        client.config_set("maxmemory", "1")
        # When it is asked, Then the reply is lost, and nothing else
        done = service.celery("inspect", "ping", "--timeout", "3")
        assert done.returncode != 0
        client.config_set("maxmemory", "0")
    assert "pong" in service.inspect("ping")
    assert worker.running


def test_each_job_is_an_event_where_each_is_a_task(make_service: Callable[..., CeleryService], tmp_path: Path) -> None:
    # Given a worker that does one task a job, and somebody who listens
    service = make_service(CONSUME_SECONDS="0")
    service.start()
    with service.events(tmp_path / "events") as events:
        # When jobs are done
        ids = [service.accept(make_picture()) for _ in range(JOBS)]
        for job_id in ids:
            service.finished(job_id)
        # Then the success of each is an event
        eventually(lambda: events.output.count("succeeded") == JOBS, what="an event for each job")
        assert all(job_id in events.output for job_id in ids)


def test_heartbeats_are_the_only_events_where_children_claim_jobs_themselves(
    make_service: Callable[..., CeleryService], tmp_path: Path
) -> None:
    service = make_service()
    service.start()
    with service.events(tmp_path / "events") as events:
        service.finished(service.accept(make_picture()))
        beats = events.output.count("heartbeat")
        eventually(lambda: events.output.count("heartbeat") > beats, what="another heartbeat")
        assert "succeeded" not in events.output


def test_a_bad_setting_is_one_sentence(make_service: Callable[..., CeleryService]) -> None:
    done = make_service("http://here").celery("status")
    assert done.returncode == 1
    assert done.stdout.startswith("celery: REDIS_URL: ") and "Traceback" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_ended_prints_no_line_of_celery(
    make_service: Callable[..., CeleryService], number: signal.Signals, tmp_path: Path
) -> None:
    # Given a worker with a job
    service = make_service()
    worker = service.start()
    job_id = service.accept(make_picture(f"until={tmp_path / 'go'}"))
    eventually(lambda: read_executions(service.executions), what="a running job")
    # When it is ended, Then it finishes the job
    worker.signal(number)
    (tmp_path / "go").touch()
    worker.wait()
    assert service.finished(job_id)["status"] == "succeeded"
    # And everything that it printed is in the format of the log
    assert [json.loads(line)["level"] for line in worker.output.splitlines()] == ["info"], worker.output

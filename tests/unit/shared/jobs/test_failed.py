"""Output and exit code of `python -m shared.jobs.failed`."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.admission import MAX_DELIVERIES, JobRequest
from shared.jobs.failed import line, main
from shared.jobs.limits import limits_of
from shared.jobs.models import ImageInfo, Job, JobState, Outcome
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.settings import Settings
from tests.support.processes import RedisServer
from tests.support.repository import ROOT

PICTURE = ImageInfo(sha256="0" * 64, format="PNG", width=2, height=3, bytes=4)
OWN_FAULT = {"status": 500, "title": "Model failed", "detail": "D"}
PREFIX = "failures:"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def environ(redis_server: RedisServer) -> dict[str, str]:
    return {"REDIS_URL": redis_server.url, "REDIS_PREFIX": PREFIX, "MAX_OPEN_JOBS": "3"}


@pytest.fixture
def jobs(redis_server: RedisServer, environ: dict[str, str], client: Any) -> Jobs:
    return Jobs(client, Queue(PREFIX), limits_of(Settings.from_environ(environ)))


@pytest.fixture
def run(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """The command; returns its exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        return main(environ, arguments), capsys.readouterr().out

    return run


def failed_job(worker: str, request_id: str, **more: Any) -> Job:
    problem = {"status": 422, "title": "Picture cannot be decoded", "detail": "It is truncated."}
    return Job("j", JobState.FAILED, PICTURE, 3, 2, 0, 0, 1_000, worker, {}, None, problem, 1, "", request_id, **more)


def admit_and_fail(jobs: Jobs, *job_ids: str, outcome: Outcome | None = None) -> None:
    for job_id in job_ids:
        jobs.admit(job_id, JobRequest(PICTURE, 3), picture=b"data")
        jobs.end(job_id, outcome or Outcome.failed(OWN_FAULT))


@pytest.mark.parametrize(
    ("worker", "request_id", "shown"), [("w1", "r1", ("[r1]", "last on w1")), ("", "", ("[-]", "last on -"))]
)
def test_a_failed_job_is_printed_as_one_line(worker: str, request_id: str, shown: tuple[str, str]) -> None:
    request, place = shown
    assert line(failed_job(worker, request_id), kept=False) == (
        f"1970-01-01T00:00:01+00:00  j  {request}  PNG 2x3 4 bytes  attempts: 2, {place}"
        "  picture not kept  Picture cannot be decoded: It is truncated."
    )
    poison = failed_job(worker, request_id, poison=True, kept_until_ms=61_000)
    assert "  picture kept until 1970-01-01T00:01:01+00:00  poison  Picture" in line(poison, kept=True)


def test_the_exit_code_says_whether_the_jobs_could_be_read(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    # When there are no failed jobs, Then that is not an error
    assert run() == (0, "0 of 0 failed jobs; 0 can be retried, 0 of them poison\n")
    # And an invalid setting and an unreachable Redis are errors
    assert main({"REDIS_URL": "http://host"}) == 2
    assert main({"REDIS_URL": "redis://127.0.0.1:1/0"}) == 1
    assert capsys.readouterr().out == ""


def test_what_can_be_retried_is_listed_however_old_it_is(run: Run, jobs: Jobs) -> None:
    # Given a failed job whose picture is kept, and a hundred later ones without
    admit_and_fail(jobs, "kept")
    refused = Outcome.failed({"status": 422, "title": "T", "detail": "D"})
    admit_and_fail(jobs, *(f"later{number}" for number in range(100)), outcome=refused)
    # When they are listed, Then so is it
    code, listed = run("list")
    assert code == 0 and "  kept  " in listed
    assert listed.splitlines()[-1].startswith("101 of 101 failed jobs; 1 can be retried")


def test_all_that_can_be_retried_is_and_poison_is_not(run: Run, jobs: Jobs) -> None:
    # Given jobs that failed by a fault of the service, one by its picture, and one that kills its process
    admit_and_fail(jobs, "a", "b")
    admit_and_fail(jobs, "c", outcome=Outcome.failed({"status": 422, "title": "T", "detail": "D"}))
    admit_and_fail(jobs, "p", outcome=Outcome.failed(OWN_FAULT, poison=True))
    code, listed = run("list")
    assert (code, listed.splitlines()[-1]) == (0, "4 of 4 failed jobs; 3 can be retried, 1 of them poison")
    # When all are retried
    code, told = run("retry", "--all")
    # Then those are retried that may be, and the rest is told
    assert code == 0
    assert [told_line.split()[:2] for told_line in told.splitlines()[:2]] == [["a", "retried"], ["b", "retried"]]
    assert told.splitlines()[2] == "2 of 2 jobs retried"
    assert told.splitlines()[3].startswith("Not retried: 1 job whose")
    assert jobs.backlog.read().open_jobs == 2
    # And a second time there is nothing to do
    assert run("retry", "--all")[1].startswith("0 of 0 jobs retried\n")
    assert jobs.backlog.read().open_jobs == 2
    # And poison is retried by its id
    code, told = run("retry", "p")
    assert (code, jobs.get(told.split()[3]).retry_of) == (0, "p")


def test_what_cannot_be_retried_is_told_and_the_others_are_retried(run: Run, jobs: Jobs) -> None:
    admit_and_fail(jobs, "a")
    jobs.admit("b", JobRequest(PICTURE, 3), picture=b"data")
    code, told = run("retry", "b", "nobody", "a")
    assert code == 1
    assert "b  not retried: This job has not ended" in told and "nobody  not retried: There is no job" in told
    assert "1 of 3 jobs retried" in told
    # And whoever asks twice is told of the same new job
    assert run("retry", "a") == (
        0,
        f"a  was retried before as {told.splitlines()[2].split()[3]}\n1 of 1 job retried\n",
    )


def test_a_full_queue_is_waited_for(run: Run, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a queue that is full until the command has waited once
    admit_and_fail(jobs, "a")
    for job_id in "bcd":
        jobs.admit(job_id, JobRequest(PICTURE, 3), picture=b"data")
    monkeypatch.setattr("shared.jobs.failed.time.sleep", lambda _: jobs.cancel("b"))
    # When the job is retried, Then it is in the end
    assert run("retry", "a")[0] == 0
    assert jobs.backlog.read().open_jobs == 3


def test_a_retry_that_replicas_lack_is_told(jobs: Jobs, environ: dict[str, str], capsys: Any) -> None:
    # Given a service whose jobs a replica must have, and no replica
    admit_and_fail(jobs, "a")
    # When a job is retried, Then it is told that the new one may be lost, and the picture stays kept
    assert main({**environ, "REDIS_MIN_REPLICAS": "1"}, ["retry", "a"]) == 1
    assert "to be sure, retry this one again" in capsys.readouterr().out
    assert jobs.kept.contains("a")


def test_a_job_that_cannot_be_admitted_does_not_hold_up_the_others(
    jobs: Jobs, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given failed jobs, one of which has a larger picture than the service stores since a setting was changed
    jobs.admit("large", JobRequest(replace(PICTURE, bytes=500), 3), picture=b"data")
    jobs.end("large", Outcome.failed(OWN_FAULT))
    # They are retried in the order of their ends, and of their ids if those are the same.
    admit_and_fail(jobs, "small")
    # When all are retried, Then it is told, and the other one is retried
    assert main({**environ, "MAX_STORED_BYTES": "100"}, ["retry", "--all"]) == 1
    told = capsys.readouterr().out
    assert "large  not retried: This picture can never be accepted" in told and "1 of 2 jobs retried" in told


def test_webhooks_without_room_do_not_hold_up_the_other_jobs(run: Run, jobs: Jobs, client: Any) -> None:
    # Given a failed job with a webhook and one without, and too many webhooks that wait
    jobs.admit("a", JobRequest(PICTURE, 3, webhook="https://a.example/"), picture=b"data")
    jobs.end("a", Outcome.failed(OWN_FAULT))
    admit_and_fail(jobs, "b")
    client.zadd(f"{PREFIX}deliveries:open", {f"d{number}": 1 for number in range(MAX_DELIVERIES)})
    # When all are retried, Then the other one is
    code, told = run("retry", "--all")
    assert code == 1 and "a  not retried" in told and "b  retried as" in told


@pytest.mark.parametrize("command", ["retry", "purge"])
@pytest.mark.parametrize("chosen", ["--all", "a"])
def test_a_command_with_the_wrong_store_changes_nothing(
    run: Run, jobs: Jobs, environ: dict[str, str], tmp_path: Path, client: Any, command: str, chosen: str
) -> None:
    # Given a failed job whose picture is kept in a folder
    url = f"file://{tmp_path}"
    open_image_store(url, StoreHistory(client, Queue(PREFIX)), set_up=True).put("a", b"data")
    jobs.admit("a", JobRequest(PICTURE, 3))
    jobs.end("a", Outcome.failed(OWN_FAULT))
    # When somebody retries it, or deletes the picture, without naming the folder
    code, told = run(command, chosen)
    # Then that is told, and nothing is deleted
    assert (code, "a  not " in told, "Is IMAGE_STORE_URL that of the service?" in told) == (1, True, True), told
    assert (tmp_path / "a").read_bytes() == b"data"
    # And with the right setting it is retried
    assert main({**environ, "IMAGE_STORE_URL": url}, ["retry", chosen]) == 0


def test_kept_pictures_can_be_deleted(run: Run, jobs: Jobs, client: Any) -> None:
    admit_and_fail(jobs, "a", "b", "c")
    assert run("purge", "a", "nobody") == (0, "1 picture deleted\n")
    assert jobs.kept.job_ids() == ["b", "c"]
    assert run("purge", "--all") == (0, "2 pictures deleted\n")
    assert not client.keys(f"{PREFIX}image:*") and not client.keys(f"{PREFIX}jobs:kept*")
    code, told = run("retry", "a")
    assert (code, "no longer kept" in told) == (1, True)


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "--all", "x"], ["purge"], ["x"]])
def test_bad_usage_is_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 2


@pytest.mark.parametrize("command", [["shared.jobs.failed"], ["worker.webhooks", "--given-up"]])
def test_a_reader_that_has_left_is_no_error(environ: dict[str, str], command: list[str]) -> None:
    # Given a command whose output nobody reads any more, as with `| head`
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        # Then it ends well, and says nothing
        assert (process.stderr.read(), process.wait(30)) == ("", 0)

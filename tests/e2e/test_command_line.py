"""`topthree` over a real API and real workers with a stand-in for the model, both broken while it runs."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.local.embedded_redis import free_port
from tests.support.command_line import COMMAND, ENVIRON, read_lines, start_topthree, topthree
from tests.support.processes import RedisServer
from tests.support.stub_worker import digest_of, make_picture, read_executions
from tests.support.supervised import StubService, children
from tests.support.wait import eventually
from topthree_client import Client

MANY = 2000


@pytest.fixture
def stub(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    """A service that a test may break."""
    service = StubService(server.url, tmp_path / "service")
    yield service
    service.stop()


def draw(folder: Path, count: int, behaviour: str = "") -> dict[str, str]:
    """Put so many pictures into a new folder; return the label of each file."""
    folder.mkdir(parents=True)
    labels = {}
    for number in range(count):
        file, picture = folder / f"{number:04}.png", make_picture(behaviour)
        file.write_bytes(picture)
        labels[str(file)] = digest_of(picture)
    return labels


def labels_in(out: Path) -> list[tuple[str, str]]:
    return sorted((line["file"], line["labels"][0]["label"]) for line in read_lines(out))


def jobs_accepted(server: RedisServer) -> int:
    """Return how many jobs there ever were; their records outlive the test."""
    with server.client() as client:
        return sum(1 for _ in client.scan_iter("job:*", count=1000))


def test_2000_pictures_are_answered_once_each_while_the_service_is_restarted(
    stub: StubService, server: RedisServer, tmp_path: Path
) -> None:
    # Given 2,000 pictures and a service
    # Each takes long enough for all of them to outlast the restarts.
    labels = draw(tmp_path / "pictures", MANY, "sleep=0.05")
    stub.start(workers=2)
    # When all are sent, and API, worker and Redis break on the way
    out = tmp_path / "out.jsonl"
    command = start_topthree("classify", tmp_path / "pictures", "--out", out, "--url", stub.url, log=tmp_path / "log")
    eventually(lambda: jobs_accepted(server) > MANY // 10, 60, "the first jobs")
    stub.restart_api()
    eventually(lambda: len(read_lines(out)) > MANY // 20, 60, "answers after the API was killed")
    lost = len(children(stub.workers[0].pid))
    stub.workers[0].kill()
    # Not by answers: none is written behind a picture of the killed worker, until its lease ends.
    begun = len(read_executions(stub.executions_file))
    eventually(
        lambda: len(read_executions(stub.executions_file)) > begun + MANY // 20, 60, "jobs after a worker was killed"
    )
    assert command.running, command.output
    server.stop()
    server.start()
    assert stub.api is not None
    stub.api.stop()
    stub.start_api()
    # Then every file has its one answer, and it is the right one
    assert command.wait(120) == 0, command.output
    assert labels_in(out) == sorted(labels.items())
    # And no picture was accepted twice, or begun twice but for what the killed worker was at
    assert jobs_accepted(server) == MANY
    assert sum(read_executions(stub.executions_file).values()) <= MANY + lost


MOMENTS = ["a batch", "a request", "jobs", "executions", "lines", "half of the lines"]


def test_a_batch_goes_on_after_every_kill_of_its_client(stub: StubService, server: RedisServer, tmp_path: Path) -> None:
    # Given 400 pictures, one of which is broken
    labels = draw(tmp_path / "pictures", 400, "sleep=0.02")
    (tmp_path / "pictures" / "broken.png").write_text("no picture")
    stub.start()
    out, resume = tmp_path / "out.jsonl", tmp_path / "out.jsonl.resume"
    arguments = ("classify", tmp_path / "pictures", "--out", out, "--url", stub.url)
    reached = {
        "a batch": lambda: resume.exists() and resume.read_bytes().count(b"\n") > 1,
        "a request": lambda: resume.read_bytes().count(b"\n") > 2,
        "jobs": lambda: jobs_accepted(server) > 100,
        "executions": lambda: len(read_executions(stub.executions_file)) > 50,
        "lines": lambda: len(read_lines(out)) > 20,
        "half of the lines": lambda: len(read_lines(out)) > 200,
    }
    for moment in MOMENTS:
        # When its client is killed at one moment after the other, and once the API too
        command = start_topthree(*arguments, log=tmp_path / "log")
        eventually(lambda: reached[moment]() or not command.running, 60, moment)  # noqa: B023 - called at once
        command.kill()
        if moment == "jobs":
            stub.restart_api()
    done = topthree(*arguments)
    # Then every file has its one right answer, and no picture was accepted or begun twice
    assert done.returncode == 1, done.stderr
    lines = {line["file"]: line for line in read_lines(out)}
    assert len(lines) == len(read_lines(out)) == 401
    assert "not a picture" in lines.pop(str(tmp_path / "pictures" / "broken.png"))["error"]
    assert {file: line["labels"][0]["label"] for file, line in lines.items()} == labels
    assert jobs_accepted(server) == 400 and sum(read_executions(stub.executions_file).values()) == 400
    assert not resume.exists()


def test_a_batch_ends_without_its_client_and_is_read_later(
    stub: StubService, server: RedisServer, tmp_path: Path
) -> None:
    # Given a run that has sent all pictures, which wait for a worker
    labels = draw(tmp_path / "pictures", 250)
    stub.start_api()
    out = tmp_path / "out.jsonl"
    arguments = ("classify", tmp_path / "pictures", "--out", out, "--url", stub.url)
    command = start_topthree(*arguments, log=tmp_path / "log")
    # When its user presses Ctrl-C as soon as the batch is closed
    eventually(lambda: batches(stub.url) == {"closed"}, 60, "a closed batch")
    command.signal(signal.SIGINT)
    assert command.wait(10) == 130
    # Then it says how to read the results later
    told = re.search(r"All pictures are sent, .*topthree batch results (\w+)", command.output)
    assert told, command.output
    batch_id = told[1]
    # And when workers have done their work, they are read by the same command, which sends nothing
    stub.start_worker()
    eventually(lambda: batches(stub.url) == {"completed"}, 60, "the end of the batch")
    assert topthree(*arguments).returncode == 0
    assert labels_in(out) == sorted(labels.items())
    assert jobs_accepted(server) == 250
    # And, on another computer, by the id
    read = topthree("batch", "results", batch_id, "--out", tmp_path / "other.jsonl", "--url", stub.url)
    assert read.returncode == 0, read.stderr
    assert labels_in(tmp_path / "other.jsonl") == sorted(labels.items())


def batches(url: str) -> set[str]:
    """Return the states of the batches that were begun on this computer."""
    words = topthree("batch", "list", "--url", url).stdout.decode().split()
    return {word for word in words if word in ("open", "closed", "completed", "canceled")}


@pytest.mark.parametrize(
    ("suffix", "number"), [("jsonl", signal.SIGINT), ("json", signal.SIGINT), ("csv", signal.SIGKILL)]
)
def test_a_run_that_was_ended_is_continued(
    stub: StubService, server: RedisServer, tmp_path: Path, suffix: str, number: signal.Signals
) -> None:
    # Given a run at work
    labels = draw(tmp_path / "pictures", 60, "sleep=0.05")
    stub.start()
    out = tmp_path / f"out.{suffix}"
    arguments = ("classify", tmp_path / "pictures", "--out", out, "--url", stub.url)
    command = start_topthree(*arguments, log=tmp_path / "log")
    eventually(lambda: len(read_executions(stub.executions_file)) > 20, 30, "the first executions")
    # When it is ended, by its user or the kernel
    command.signal(number)
    assert command.wait(10) == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in command.output, command.output
    # And the same command is run again
    done = topthree(*arguments)
    # Then every file has its one right answer, and no picture was accepted twice
    assert done.returncode == 0, done.stderr
    assert answers(out) == sorted(labels.items())
    assert jobs_accepted(server) == 60
    # And nothing but the answers is left
    assert sorted(file.name for file in tmp_path.glob("out*")) == [out.name]
    # And once more, it has nothing to send
    before = out.read_bytes()
    assert topthree(*arguments).returncode == 0
    assert out.read_bytes() == before and jobs_accepted(server) == 60


def answers(out: Path) -> list[tuple[str, str]]:
    """Return files and labels, whatever the format."""
    if out.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(os.fsdecode(out.read_bytes()), newline=""))
        return sorted((row["file"], row["label_1"]) for row in rows)
    if out.suffix == ".json":
        return sorted((each["file"], each["labels"][0]["label"]) for each in json.loads(out.read_bytes()))
    return labels_in(out)


def test_a_full_queue_is_waited_for(server: RedisServer, tmp_path: Path) -> None:
    # Given a service that takes fewer jobs than the command sends at a time
    labels = draw(tmp_path / "pictures", 40)
    service = StubService(server.url, tmp_path / "service", MAX_OPEN_JOBS="4")
    try:
        service.start()
        # When pictures are sent
        out = tmp_path / "out.jsonl"
        done = topthree("classify", tmp_path / "pictures", "--out", out, "--url", service.url, "--quiet")
    finally:
        service.stop()
    # Then all are answered
    assert (done.returncode, done.stderr) == (0, b"")
    assert labels_in(out) == sorted(labels.items())


def test_names_of_any_kind_survive_and_what_is_hidden_or_a_loop_is_left(stub: StubService, tmp_path: Path) -> None:
    # Given pictures with odd names, beside what is to be left out
    stub.start()
    folder = tmp_path / "pictures"
    names = [b"-dash.png", b"new\nline.PNG", b"ret\rurn.png", b"latin\xe9.png", b'quo"te,comma.png', "ä🐈.png".encode()]
    (folder / "deep").mkdir(parents=True)
    for name in [*names, b".hidden.png", b"notes.txt"]:
        (folder / "deep" / os.fsdecode(name)).write_bytes(make_picture())
    (folder / "deep" / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    wanted = sorted(os.fsencode(folder / "deep") + b"/" + name for name in names)
    for suffix in ("csv", "jsonl"):
        # When the folder is classified twice, the second time with nothing left to do
        out = tmp_path / f"out.{suffix}"
        for _ in range(2):
            done = topthree("classify", folder, "--out", out, "--url", stub.url)
            # Then only the file with another extension is mentioned, before the summary
            assert done.returncode == 0 and done.stderr.count(b"\n") == 2 and b": 1 .txt;" in done.stderr, done.stderr
        # And each picture is there once, under its name to the byte
        assert sorted(os.fsencode(file) for file, _ in answers(out)) == wanted
    # And a name that begins with a dash can be given, and the terminal is spared the line break
    done = topthree("classify", "--url", stub.url, "--", b"-dash.png", b"new\nline.PNG", cwd=folder / "deep")
    assert done.returncode == 0, done.stderr
    table = done.stdout.decode()
    assert "-dash.png" in table and "new\\nline.PNG" in table


def test_what_fails_is_told_and_kept_and_the_rest_is_answered(stub: StubService, tmp_path: Path) -> None:
    # Given a good picture, one that is none, one that breaks its worker
    stub.start()
    labels = draw(tmp_path / "pictures", 1)
    (tmp_path / "pictures" / "text.jpg").write_text("no picture")
    (tmp_path / "pictures" / "poison.png").write_bytes(make_picture("raise"))
    out = tmp_path / "out.jsonl"
    arguments = ("classify", tmp_path / "pictures", "--out", out, "--url", stub.url)
    # When they are classified
    done = topthree(*arguments)
    # Then the exit code and a line each tell of those that failed, and the other has its label
    assert done.returncode == 1
    assert b"text.jpg" in done.stderr and b"poison.png" in done.stderr and b"1 labelled, 2 failed" in done.stderr
    lines = {Path(line["file"]).name: line for line in read_lines(out)}
    assert "not a picture" in lines["text.jpg"]["error"] and lines["poison.png"]["error"]
    assert lines["0000.png"]["labels"][0]["label"] == next(iter(labels.values()))
    # And a second run sends nothing, and says the same with its exit code
    before = out.read_bytes()
    assert topthree(*arguments).returncode == 1
    assert out.read_bytes() == before


def test_status_tells_of_workers_model_queue_and_failures(stub: StubService, tmp_path: Path) -> None:
    # Given a service without a worker
    stub.start_api()
    # When its status is asked for, Then the exit code says that pictures wait
    done = topthree("status", "--url", stub.url)
    assert done.returncode == 1 and b"workers: 0 ready" in done.stdout
    # Given a worker, and a job that has failed
    stub.start_worker()
    stub.wait_ready()
    (tmp_path / "poison.png").write_bytes(make_picture("raise"))
    assert topthree("classify", tmp_path / "poison.png", "--url", stub.url).returncode == 1
    # When its status is asked for, Then all of it is there
    done = topthree("status", TOPTHREE_URL=stub.url)
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "workers: 1 ready" in text and "stub" in text and "litert" in text
    assert "0 queued, 0 running, 1 failed" in text and "failed at" in text


def test_a_service_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(make_picture())
    url = f"http://127.0.0.1:{free_port()}"
    for arguments in (["status"], ["classify", tmp_path / "picture.png", "--out", tmp_path / "out.csv"]):
        done = topthree(*arguments, "--url", url)
        assert done.returncode == 3
        assert url.encode() in done.stderr and b"Traceback" not in done.stderr
    # And nothing was begun
    assert not list(tmp_path.glob("out*"))


def test_a_job_is_shown_canceled_and_waited_for(stub: StubService, tmp_path: Path) -> None:
    # Given a service without a worker, and two jobs
    stub.start_api()
    (tmp_path / "one.png").write_bytes(make_picture())
    (tmp_path / "two.png").write_bytes(picture := make_picture())
    with Client(stub.url) as client:
        one, two = (client.submit(tmp_path / name) for name in ("one.png", "two.png"))
    # When one is canceled, Then its state is shown, and a second time is as good as the first
    assert topthree("get", one, "--url", stub.url).stdout.split()[:4] == [b"job", one.encode(), b"state", b"queued"]
    assert topthree("cancel", one, "--url", stub.url).returncode == 0
    assert topthree("cancel", one, "--url", stub.url).returncode == 0
    shown = topthree("get", one, "--url", stub.url)
    assert shown.returncode == 1 and b"canceled" in shown.stdout
    # And when a worker starts, the other one is waited for
    stub.start_worker()
    done = topthree("get", two, "--wait", "--format", "json", "--url", stub.url)
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert job["state"] == "succeeded" and job["labels"][0]["label"] == digest_of(picture)
    assert job["times"].keys() == {"accepted", "begun", "finished"}
    # And its result survives a cancellation that comes too late
    late = topthree("cancel", two, "--url", stub.url)
    assert late.returncode == 1 and b"The job has ended; its result is kept." in late.stderr
    assert topthree("get", two, "--url", stub.url).returncode == 0


def test_a_picture_comes_through_a_pipe(stub: StubService) -> None:
    # Given a service and a picture that another program writes
    stub.start()
    picture = make_picture()
    # When it is classified
    command = [*COMMAND, "classify", "-", "--format", "jsonl", "--quiet", "--url", stub.url]
    done = subprocess.run(command, input=picture, capture_output=True, env={**os.environ, **ENVIRON}, check=False)
    # Then its label is printed, under the name of standard input
    assert (done.returncode, done.stderr) == (0, b"")
    answer = json.loads(done.stdout)
    assert (answer["file"], answer["labels"][0]["label"]) == ("-", digest_of(picture))


def read_window(controller: int) -> str:
    """Return all that is shown until the last program has left the window."""
    shown = b""
    # Linux says so with an error.
    with os.fdopen(controller, "rb", buffering=0) as window, suppress(OSError):
        while chunk := window.read(10_000):
            shown += chunk
    return shown.decode()


@pytest.mark.parametrize(("form", "count", "bar"), [("table", 3, True), ("table", 30, True), ("csv", 3, False)])
def test_a_window_shows_a_bar_unless_lines_come_to_it(
    stub: StubService, tmp_path: Path, form: str, count: int, bar: bool
) -> None:
    # Given pictures and a window
    stub.start()
    draw(tmp_path / "pictures", count)
    controller, window = pty.openpty()
    # When they are classified in it
    command = [*COMMAND, "classify", "pictures", "--format", form, "--url", stub.url]
    environ = {**os.environ, **ENVIRON, "TERM": "xterm"}
    running = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=window, stderr=window)
    os.close(window)
    shown = read_window(controller)
    # Then answers are there, and a bar that was full in the end, or none
    assert running.wait(30) == 0 and "0002.png" in shown
    assert (f"{count}/{count}" in shown) == bar and ("classifying" in shown) == bar
    # And for a batch, it shows first how many are sent
    assert ("sending" in shown) == (count > 20)

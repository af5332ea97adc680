"""`topthree classify` with many pictures: a batch, which later runs go on with, whatever happened to the first."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.client.batch_service import BatchService
from tests.client.conftest import Run, problem
from tests.support.command_line import read_lines
from tests.support.repository import ROOT
from tests.support.wait import eventually
from topthree_client import batch_run
from topthree_client.picture_files import Found

MANY = 250


@pytest.fixture
def service() -> BatchService:
    """The service of the fixture `run`."""
    return BatchService()


@pytest.fixture
def folder(run: Run) -> Path:
    """A folder of many pictures, each of which is its own label."""
    folder = Path("many")
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:03}.png").write_bytes(f"is {number:03}".encode())
    return folder


def lines() -> dict[str, str]:
    """Return the label or the error of each file in out.jsonl, each of which is there once."""
    written = read_lines(Path("out.jsonl"))
    given = {line["file"]: line["error"] if "error" in line else line["labels"][0]["label"] for line in written}
    assert len(given) == len(written)
    return given


def labels(folder: Path) -> dict[str, str]:
    """Return what has to be in out.jsonl."""
    return {str(file): file.read_bytes().decode().removeprefix("is ") for file in folder.iterdir()}


def classify(run: Run, *arguments: str | Path) -> int:
    return run("classify", *(arguments or ("many",)), "--out", "out.jsonl")


def test_many_pictures_take_one_batch_and_each_has_its_answer(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given many pictures, of which one is broken and one fails
    (folder / "bad.png").write_bytes(b"bad")
    (folder / "fails.png").write_bytes(b"fails")
    # When they are classified
    assert run("classify", "many", "--out", "out.jsonl", "--top", "2", "--min-confidence", "0.1") == 1
    # Then each has its label, or its error, which is told
    expected = labels(folder) | {"many/bad.png": "This is not a picture.", "many/fails.png": "The model failed."}
    assert lines() == expected
    told = capsys.readouterr().err
    assert "many/bad.png: This is not a picture." in told and "many/fails.png: The model failed." in told
    assert f"{MANY + 2} pictures: {MANY} labelled, 2 failed -> out.jsonl" in told
    # And they were sent in one batch, which is closed, in few requests, under their names
    (batch,) = service.batches.values()
    assert (batch.state, batch.options) == ("closed", {"top": 2, "min_confidence": 0.1})
    assert len(service.asked) < 12
    assert {name for _, name, _ in batch.pictures} == expected.keys() - {"many/bad.png"}
    # And nothing is left, and a second run sends nothing
    assert not Path("out.jsonl.resume").exists()
    asked = len(service.asked)
    assert classify(run) == 1
    assert [request.url.path for request in service.asked[asked:]] == ["/health/ready"]


@pytest.mark.parametrize(("count", "batches"), [(20, 0), (21, 1)])
def test_a_few_pictures_take_no_batch(run: Run, service: BatchService, count: int, batches: int) -> None:
    # Given a service that refuses single pictures
    service.before = lambda request: problem(415) if request.url.path == "/upload" else None
    Path("few").mkdir()
    for number in range(count):
        (Path("few") / f"{number}.png").write_bytes(b"%d" % number)
    run("classify", "few", "--out", "out.csv")
    assert len(service.batches) == batches


class Killed(BaseException):
    """Ends a run like a signal that nothing can handle."""


class Killer:
    """Ends a run at its request number `at`, before or after the service gets it; later requests get nowhere."""

    def __init__(self, service: BatchService, at: int, *, before: bool) -> None:
        self._at = at
        self._lock = threading.Lock()
        self._asked = 0
        service.before = self._count if before else lambda _: None
        service.after = (lambda _: None) if before else self._count

    def _count(self, _: httpx.Request) -> None:
        with self._lock:
            self._asked += 1
            if self._asked >= self._at:
                raise Killed


# More than the requests of a run.
MOST_REQUESTS = 16


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", range(2, MOST_REQUESTS))
def test_a_run_that_is_killed_at_any_request_is_continued(
    run: Run, service: BatchService, folder: Path, monkeypatch: pytest.MonkeyPatch, at: int, before: bool
) -> None:
    # Given small requests, and a run that is killed at one of them
    monkeypatch.setattr("topthree_client.packing.MOST_PICTURES", 40)
    (folder / "bad.png").write_bytes(b"bad")
    threads = set(threading.enumerate())
    Killer(service, at, before=before)
    try:
        classify(run)
    except Killed:
        eventually(lambda: set(threading.enumerate()) <= threads, what="the end of its threads")
    # When it is run again
    service.before = service.after = lambda _: None
    assert classify(run) == 1
    # Then each file has its one right answer, and no picture was added twice
    assert lines() == labels(folder) | {"many/bad.png": "This is not a picture."}
    assert set(service.sent.values()) == {1}
    assert not Path("out.jsonl.resume").exists()


def test_a_request_whose_answer_is_lost_is_repeated_as_it_was_in_a_changed_folder(
    run: Run, service: BatchService, folder: Path
) -> None:
    # Given a run that is killed before it reads the answer to its first pictures, and a new file before all others
    service.after = lambda request: Killed() if request.url.path.endswith("/images") else None
    with pytest.raises(Killed):
        run("classify", "many", "--out", "out.jsonl", "--jobs", "1")
    (folder / "+.png").write_bytes(b"is first")
    # When it is run again
    service.after = lambda _: None
    assert classify(run) == 0
    # Then each file has its answer, and no picture was added twice
    assert lines() == labels(folder)
    assert set(service.sent.values()) == {1}


def test_a_resume_file_that_lost_its_end_is_continued(run: Run, service: BatchService, folder: Path) -> None:
    # Given a resume file without its end, to which a second run has added its batch
    interrupt(service, run)
    file = Path("out.jsonl.resume")
    os.truncate(file, file.stat().st_size - 20)
    interrupt(service, run)
    # When it is run again, Then no picture is sent a third time
    assert classify(run) == 0
    assert lines() == labels(folder)
    assert set(service.sent.values()) <= {1, 2}


@pytest.mark.parametrize("lost", [1, 20, 100, 1000, 5000, 9000, 12000, 100_000])
def test_a_resume_file_that_lost_its_end_costs_no_answer(
    run: Run, service: BatchService, folder: Path, lost: int
) -> None:
    # Given a run that ended before the results, and a file of which some bytes are gone
    service.before = lambda request: Killed() if request.url.path.endswith("/results") else None
    with pytest.raises(Killed):
        classify(run)
    file = Path("out.jsonl.resume")
    os.truncate(file, max(0, file.stat().st_size - lost))
    # When it is run again, Then each file has its answer
    service.before = lambda _: None
    assert classify(run) == 0
    assert lines() == labels(folder)


@pytest.mark.parametrize(
    "line",
    ["no JSON", "[1]", '{"batch": 1}', '{"request": 1, "files": ["a.png"]}', '{"request": 1, "jobs": [1]}', '{"x": 1}'],
)
def test_a_resume_file_with_nonsense_is_told(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    # Given an interrupted run, in whose file somebody has changed a line
    interrupt(service, run)
    file = Path("out.jsonl.resume")
    salt, _, *rest = file.read_text("ascii").splitlines()
    damaged = "\n".join([salt, line, *rest, ""])
    file.write_text(damaged, "ascii")
    # When it is run again, Then nothing is sent, and it is told what to do
    before = dict(service.sent)
    assert classify(run) == 2
    assert "line 2 of out.jsonl.resume is damaged. Delete this file and run the same command" in capsys.readouterr().err
    assert (service.sent, file.read_text("ascii")) == (before, damaged)


def interrupt(service: BatchService, run: Run) -> str:
    """Press Ctrl-C when all pictures are sent; return the id of the batch."""
    service.before = lambda request: KeyboardInterrupt() if request.url.path.endswith("/results") else None
    assert classify(run) == 130
    service.before = lambda _: None
    return next(iter(service.batches))


def test_the_results_are_read_by_a_second_run(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a run that was stopped after all pictures were sent
    batch_id = interrupt(service, run)
    # Then it says that the service goes on, and how to get the results
    assert capsys.readouterr().err == (
        f"topthree: Stopped at 0 of {MANY}. All pictures are sent, and the service goes on. Run the same command to "
        f"resume, or read the results with: topthree batch results {batch_id}\n"
    )
    # And the same command reads them, and sends no picture
    sizes = len(service.sizes)
    assert classify(run) == 0
    assert lines() == labels(folder) and len(service.sizes) == sizes


def test_ctrl_c_without_an_output_says_how_to_read_the_results(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.before = lambda request: KeyboardInterrupt() if request.url.path.endswith("/results") else None
    assert run("classify", "many") == 130
    (batch_id,) = service.batches
    assert capsys.readouterr().err == (
        f"topthree: Stopped at 0 of {MANY}. All pictures are sent, and the service goes on. Read the results with: "
        f"topthree batch results {batch_id}\n"
    )


def test_ctrl_c_while_pictures_are_sent(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that is interrupted at the first request with pictures
    service.before = lambda request: KeyboardInterrupt() if request.url.path.endswith("/images") else None
    # When many are classified, Then the message says how to resume, and that works
    assert classify(run) == 130
    assert capsys.readouterr().err == f"topthree: Stopped at 0 of {MANY}. Run the same command to resume.\n"
    service.before = lambda _: None
    assert classify(run) == 0 and lines() == labels(folder)


def test_a_folder_that_has_changed_is_sent_as_it_is_now(run: Run, service: BatchService, folder: Path) -> None:
    # Given a run that was stopped, and a folder in which files came, went and changed
    interrupt(service, run)
    (folder / "000.png").unlink()
    (folder / "001.png").write_bytes(b"is another")
    (folder / "new.png").write_bytes(b"is new")
    # When it is run again
    assert classify(run) == 0
    # Then every file that is there has the label of what is in it now
    assert lines() == labels(folder)
    # And only what is new was sent: in a second batch, as the first one was closed
    _, second = service.batches.values()
    assert sorted(data for _, _, data in second.pictures) == [b"is another", b"is new"]


@pytest.mark.parametrize("way", ["expired", "canceled"])
def test_a_batch_that_is_gone_is_sent_again_by_the_next_run(
    run: Run, service: BatchService, folder: Path, way: str
) -> None:
    # Given a run that was stopped, and a batch that is gone since
    batch_id = interrupt(service, run)
    if way == "expired":
        del service.batches[batch_id]
    else:
        service.batches[batch_id].state = "canceled"
    # When it is run again, Then each file has its answer
    assert classify(run) == 0
    assert lines() == labels(folder)


def test_a_batch_that_the_service_loses_is_sent_again_by_the_same_run(
    run: Run, service: BatchService, folder: Path
) -> None:
    # Given a service that loses all that it has when the results are read for the first time
    def lose(request: httpx.Request) -> None:
        if request.url.path.endswith("/results") and service.opened == 1:
            service.batches.clear()

    service.before = lose
    # When many are classified, Then each has its answer in the end
    assert classify(run) == 0
    assert lines() == labels(folder) and service.opened == 2


def test_a_batch_that_is_always_lost_is_given_up(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that never has the batch to which it has added pictures
    service.before = lambda request: (
        problem(404) if request.method == "GET" and request.url.path.startswith("/batches") else None
    )
    assert classify(run) == 1
    assert f"{MANY} not answered" in capsys.readouterr().err
    assert len(service.batches) == batch_run.MOST_TIMES


def test_a_batch_that_somebody_cancels_ends_the_run(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a batch that is canceled while the command waits for it
    service.held = {b"is 100"}

    def cancel(request: httpx.Request) -> None:
        if request.url.path.endswith("/results") and request.url.params["after"] != "0":
            next(iter(service.batches.values())).state = "canceled"

    service.before = cancel
    # When many are classified, Then that ends, says so, and keeps what it has
    assert run("classify", "many", "--out", "out.jsonl", "--jobs", "1") == 1
    told = capsys.readouterr().err
    assert told == (
        f"topthree: Stopped at 100 of {MANY}. The batch {next(iter(service.batches))} was canceled. "
        "Run the same command to send the other pictures again.\n"
    )
    assert len(lines()) == 100
    # And the same command sends the rest in another batch
    service.held, service.before = set(), lambda _: None
    assert classify(run) == 0
    assert lines() == labels(folder)
    assert [len(batch.pictures) for batch in service.batches.values()] == [MANY, MANY - 100]


def test_a_batch_that_somebody_closes_is_followed_by_another(run: Run, service: BatchService, folder: Path) -> None:
    # Given a batch that is closed after its first request
    def close(request: httpx.Request) -> None:
        if request.url.path.endswith("/images") and len(service.batches) == 1:
            next(iter(service.batches.values())).state = "closed"

    service.after = close
    # When many are classified, Then each has its answer
    assert classify(run) == 0
    assert lines() == labels(folder) and len(service.batches) == 2


def test_other_options_are_another_batch(run: Run, service: BatchService, folder: Path) -> None:
    interrupt(service, run)
    assert run("classify", "many", "--out", "out.jsonl", "--top", "1") == 0
    assert [batch.options["top"] for batch in service.batches.values()] == [3, 1]
    assert lines() == labels(folder)


def test_a_batch_that_is_full_is_followed_by_another(
    run: Run, service: BatchService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "MOST_IN_BATCH", 100)
    assert classify(run) == 0
    assert [len(batch.pictures) for batch in service.batches.values()] == [100, 100, 50]
    assert {batch.state for batch in service.batches.values()} == {"closed"}
    assert lines() == labels(folder)


def test_files_with_the_same_name_in_the_batch_have_their_own_answers(run: Run, service: BatchService) -> None:
    # Given names of which the service keeps the same text, with different pictures
    Path("odd").mkdir()
    for byte in range(0xE0, 0xFA):
        Path("odd", f"{chr(0xDC00 + byte)}.png").write_bytes(f"is {byte}".encode())
    # When they are classified, Then each has its own label
    assert classify(run, "odd") == 0
    (batch,) = service.batches.values()
    assert len({name for _, name, _ in batch.pictures}) == 1
    assert lines() == labels(Path("odd"))


def test_a_file_that_cannot_be_read_is_tried_by_the_next_run(
    run: Run, service: BatchService, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a file that goes away while the others are sent
    (folder / "000.png").unlink()
    monkeypatch.setattr("topthree_client.inputs.find_pictures", lambda *_: Found([*labels(folder), "many/000.png"], []))
    # When all are classified, Then it has no line, and the run counts as unfinished
    assert classify(run) == 1
    assert "many/000.png: No such file or directory" in capsys.readouterr().err
    assert lines() == labels(folder) and Path("out.jsonl.resume").exists()
    # And when it is there again, it is sent
    (folder / "000.png").write_bytes(b"is back")
    assert classify(run) == 0
    assert lines() == labels(folder) and not Path("out.jsonl.resume").exists()


def test_pictures_that_take_longer_than_the_timeout_have_no_answer(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a picture that does not end
    service.held = {b"is 240"}
    # When all are classified with a limit
    assert run("classify", "many", "--out", "out.jsonl", "--timeout", "0.3", "--jobs", "1") == 1
    # Then those before it have their answers, and standard error says why the others have none
    assert len(lines()) == 240
    told = capsys.readouterr().err
    assert "has not ended within 0.3 s." in told and "240 labelled, 10 not answered" in told
    # And the next run reads them
    service.held, sizes = set(), len(service.sizes)
    assert classify(run) == 0
    assert lines() == labels(folder) and len(service.sizes) == sizes


def test_a_missing_worker_is_told(
    run: Run, service: BatchService, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service without a worker
    monkeypatch.setattr(batch_run, "STALLED_SECONDS", 0)
    service.held = {b"is 000"}
    # When pictures are classified, Then standard error says once that they wait
    run("classify", "many", "--out", "out.jsonl", "--timeout", "3")
    assert capsys.readouterr().err.count("No worker is ready; the pictures wait.") == 1


def test_a_service_that_goes_away_ends_the_run_with_what_it_has(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that goes away while pictures are sent
    def refuse(request: httpx.Request) -> httpx.Response | Exception | None:
        return httpx.ConnectError("refused") if len(service.sizes) > 2 else None

    service.before = refuse
    assert classify(run) == 3
    told = capsys.readouterr().err
    assert "Stopped at 0 of 250." in told and "Run the same command to resume." in told and "refused" in told
    # And when it is back, only the rest is sent
    service.before = lambda _: None
    assert classify(run) == 0
    assert lines() == labels(folder) and set(service.sent.values()) == {1}


def test_a_picture_on_standard_input_is_in_the_batch(folder: Path) -> None:
    # Given a command with a picture on standard input beside many others
    program = (
        "import httpx, sys; from functools import partial\n"
        "from tests.client.batch_service import BatchService\n"
        "from topthree_client import Client, command_line\n"
        "command_line.Client = partial(Client, transport=httpx.MockTransport(BatchService()))\n"
        "sys.exit(command_line.main(['classify', '-', 'many', '--out', 'out.jsonl']))\n"
    )
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    command = [sys.executable, "-c", program]
    # When it runs, Then each has its answer
    done = subprocess.run(command, input=b"is piped", env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert lines() == labels(folder) | {"-": "piped"}


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_each_format(
    run: Run, service: BatchService, folder: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert run("classify", "many", "--format", form) == 0
    shown = capsys.readouterr().out
    if form == "json":
        assert {each["file"]: each["labels"][0]["label"] for each in json.loads(shown)} == labels(folder)
        assert json.loads(shown)[0]["model"] == {"name": "m", "digest": "d" * 64}
    assert all(file in shown for file in labels(folder))


def test_requests_run_at_most_four_at_a_time(
    run: Run, service: BatchService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given small requests, and a service that counts how many are there
    monkeypatch.setattr("topthree_client.packing.MOST_PICTURES", 5)
    running, most, lock = [0], [0], threading.Lock()

    def count(change: int) -> Callable[[httpx.Request], None]:
        def change_count(request: httpx.Request) -> None:
            if request.url.path.endswith("/images"):
                with lock:
                    running[0] += change
                    most[0] = max(most[0], running[0])

        return change_count

    service.before, service.after = count(1), count(-1)
    # When many pictures are classified with more jobs, Then there are no more than four
    assert run("classify", "many", "--out", "out.jsonl", "--jobs", "64") == 0
    assert 1 <= most[0] <= 4 and len(service.sizes) == 50
    # And with one job, one
    most[0] = 0
    assert run("classify", "many", "--out", "other.jsonl", "--jobs", "1") == 0
    assert most[0] == 1


def test_names_in_the_batch_are_paths_as_they_were_given(run: Run, service: BatchService, folder: Path) -> None:
    assert classify(run, folder.resolve()) == 0
    (batch,) = service.batches.values()
    assert {name for _, name, _ in batch.pictures} == {str(file) for file in folder.resolve().iterdir()}

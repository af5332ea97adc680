"""The command line without a service: what it refuses, what it says, which exit code it has."""

import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.client.conftest import Clock, Run, Service, problem, use
from tests.support.command_line import ENVIRON, read_lines, topthree
from tests.support.wait import eventually, take_time
from topthree_client import classify_command, inputs
from topthree_client.picture_files import Found

# Long enough for a request beyond the limit to arrive.
SETTLE_SECONDS = 0.2


def make_pictures(count: int) -> None:
    Path("many").mkdir()
    for number in range(count):
        Path(f"many/{number}.png").write_bytes(str(number).encode())


def test_help_has_examples_and_exit_codes() -> None:
    general, classify, status = (topthree(*words, "--help") for words in ([], ["classify"], ["status"]))
    assert {general.returncode, classify.returncode, status.returncode} == {0}
    assert b"topthree classify cat.jpg" in general.stdout
    for words in (b"examples:", b"exit codes", b"130", b"TOPTHREE_URL", b"--format", b"--top", b"--out", b"--jobs"):
        assert words in classify.stdout
    assert b"--url" in status.stdout


def test_files_that_are_skipped_in_a_folder_are_reported(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a folder with a picture and other files
    make_pictures(1)
    for name in ("notes.txt", "film.mov", "README"):
        Path("many", name).touch()
    # When it is classified, Then standard error has their number and extensions
    assert run("classify", "many", "--out", "out.csv") == 0
    told = capsys.readouterr().err
    assert "skipped files without the extension of a picture" in told
    assert "1 .mov, 1 .txt" in told and "1 without an extension" in told
    # And a folder without pictures is an error, with the same reason
    Path("many/0.png").unlink()
    assert run("classify", "many") == 2
    told = capsys.readouterr().err
    assert "skipped files" in told and "There are no pictures" in told


def test_a_second_run_names_the_pictures_that_failed_in_the_first(
    run: Run, capsys: pytest.CaptureFixture[str], service: Service
) -> None:
    # Given a run in which a picture was refused
    assert run("classify", "good.png", "bad.png", "--out", "out.csv") == 1
    first, asked = capsys.readouterr().err, len(service.asked)
    # When it is run again
    assert run("classify", "good.png", "bad.png", "--out", "out.csv") == 1
    # Then the picture is named again, without being sent
    assert "bad.png: This is not a picture." in first
    assert "bad.png: This is not a picture." in capsys.readouterr().err
    assert not [request for request in service.asked[asked:] if request.method == "POST"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify"],
        ["classify", "good.png", "--top", "11"],
        ["classify", "good.png", "--format", "xml"],
        ["classify", "good.png", "--jobs", "0"],
        ["classify", "good.png", "--jobs", "65"],
        ["classify", "good.png", "--jobs", "many"],
        ["classify", "good.png", "--min-confidence", "1.1"],
        ["classify", "good.png", "--min-confidence", "nan"],
        ["shout"],
        [],
    ],
)
def test_bad_usage_is_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 2


@pytest.mark.parametrize(("option", "most"), [("--top", 10), ("--jobs", 64)])
@pytest.mark.parametrize("value", ["0", "65", "-1", "x", "1.5", "٣"])
def test_a_number_out_of_range_is_refused_with_the_range(
    run: Run, capsys: pytest.CaptureFixture[str], option: str, most: int, value: str
) -> None:
    with pytest.raises(SystemExit):
        run("classify", "good.png", f"{option}={value}")
    assert f"is not a whole number from 1 to {most}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["good.png", "--out", "out.txt"], "--format"),
        (["good.png", "--out", "out.csv", "--format", "table"], "--format"),
        (["nosuch.png"], "nosuch.png: there is no such file"),
        ([""], "no such file"),
        (["--files-from", "nosuch.txt"], "nosuch.txt: No such file or directory. Nothing was sent."),
        (
            ["good.png", "--out", "nosuch/out.csv"],
            "nosuch/out.csv cannot be written: No such file or directory. Nothing",
        ),
        (["good.png", "--out", ".", "--format", "csv"], "regular file"),
        (["good.png", "--out", "/dev/full", "--format", "csv"], "regular file"),
        (["good.png", "--out", "good.png", "--format", "jsonl"], "not written by this command"),
        (["empty"], "no pictures"),
        (["good.png", "--url", "nowhere"], "not the URL"),
        (["good.png", "--api-key-file", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_carried_out_is_told_and_nothing_is_sent(
    run: Run, service: Service, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    Path("empty").mkdir()
    assert run("classify", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not [request for request in service.asked if request.method == "POST"]
    assert Path("good.png").read_bytes() == b"good"


def test_each_format_on_standard_output(run: Run, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    # Given a good picture, When it is classified in each format, Then its labels are on standard output
    def output(form: str) -> str:
        assert run("classify", "good.png", "--top", "2", "--format", form) == 0
        return capsysbinary.readouterr().out.decode()

    expected = {
        "file": "good.png",
        "labels": [{"label": "cat", "confidence": 0.7}, {"label": "dog", "confidence": 0.2}],
        "model": {"name": "m", "digest": "d" * 64},
    }
    assert json.loads(output("jsonl")) == expected
    assert json.loads(output("json")) == [expected]
    assert output("csv").splitlines() == [
        '"file","label_1","confidence_1","label_2","confidence_2","model","digest","error"',
        f'"good.png","cat",0.7,"dog",0.2,"m","{"d" * 64}",""',
    ]
    assert "good.png" in (table := output("table")) and "cat 70.0%" in table and "dog 20.0%" in table


def test_a_picture_that_is_refused_makes_the_exit_code_1(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", ".", "--out", "out.jsonl") == 1
    assert read_lines(Path("out.jsonl"))[0] != read_lines(Path("out.jsonl"))[1]
    told = capsys.readouterr().err
    assert "bad.png: This is not a picture." in told and "2 pictures: 1 labelled, 1 failed -> out.jsonl" in told


def test_a_picture_that_cannot_be_read_is_tried_by_the_next_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a picture that goes away after it was found
    find = inputs.find_pictures
    monkeypatch.setattr(inputs, "find_pictures", lambda *given: Found([*find(*given).pictures, "gone.png"], []))
    # When it is classified with another one
    assert run("classify", "good.png", "--out", "out.jsonl") == 1
    # Then it has no line, and the run counts as unfinished
    assert [line["file"] for line in read_lines(Path("out.jsonl"))] == ["good.png"]
    assert "gone.png" in capsys.readouterr().err and Path("out.jsonl.resume").exists()
    # And when it is there again, so is its line
    Path("gone.png").write_bytes(b"here")
    assert run("classify", "good.png", "--out", "out.jsonl") == 0
    assert [line["file"] for line in read_lines(Path("out.jsonl"))] == ["good.png", "gone.png"]
    assert not Path("out.jsonl.resume").exists()


def test_a_service_that_goes_away_for_good_ends_the_run_with_what_it_has(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given 20 pictures and a service that goes away after 10
    make_pictures(20)
    use(monkeypatch, Service(most=10))
    # When they are classified, Then the run ends, with its exit code and what was answered
    assert run("classify", "many", "--out", "out.jsonl") == 3
    first = read_lines(Path("out.jsonl"))
    assert 0 < len(first) <= 10 and "refused" in capsys.readouterr().err
    # And when the service is back, the rest follows
    service = Service()
    use(monkeypatch, service)
    assert run("classify", "many", "--out", "out.jsonl") == 0
    assert len({line["file"] for line in read_lines(Path("out.jsonl"))}) == 20
    assert sum(request.method == "POST" for request in service.asked) == 20 - len(first)


def test_a_missing_worker_is_reported_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service without a worker
    service = Service()

    def without_worker(request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return service(request)
        note = {"id": "a" * 32, "status": "queued", "detail": "No worker is running; the job is kept."}
        return httpx.Response(202, json=note)

    use(monkeypatch, without_worker)
    # When two pictures are classified, Then standard error reports it once
    assert run("classify", "good.png", "bad.png", "--format", "jsonl") == 0
    assert capsys.readouterr().err.count("No worker is running; the job is kept.") == 1


@pytest.mark.parametrize(("option", "most"), [([], 16), (["--jobs", "3"], 3), (["--jobs", "20"], 20)])
def test_at_most_this_many_pictures_are_in_progress(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: list[str], most: int
) -> None:
    # Given more pictures than that, without a batch, and a service that holds its answers
    make_pictures(40)
    monkeypatch.setattr(classify_command, "MOST_SINGLE", 40)
    service, requests, may_answer = Service(), [], threading.Event()

    def hold(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/result/"):
            requests.append(request)
            may_answer.wait(60)
        return service(request)

    use(monkeypatch, hold)
    # When they are classified
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(run, "classify", "many", "--out", "out.csv", *option)
        try:
            # Then exactly that many requests arrive before the first answer
            eventually(lambda: len(requests) >= most, what=f"{most} requests")
            take_time(SETTLE_SECONDS)
            assert len(requests) == most
        finally:
            may_answer.set()
    assert code.result() == 0


def test_the_same_pictures_in_another_output_are_other_requests(run: Run, service: Service) -> None:
    for out in ("one.csv", "two.csv"):
        run("classify", "good.png", "--out", out)
    keys = [request.headers["Idempotency-Key"] for request in service.asked if request.method == "POST"]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("way", ["variable", "file"])
def test_an_api_key_comes_from_the_environment_or_a_file(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("TOPTHREE_API_KEY", "secret" if way == "variable" else "another")
    Path("key").write_text("secret\n")
    run("classify", "good.png", *(["--api-key-file", "key"] if way == "file" else []))
    assert {request.headers["Authorization"] for request in service.asked} == {"Bearer secret"}


def test_a_url_comes_from_the_option_then_the_environment_then_is_local(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("status")
    monkeypatch.setenv("TOPTHREE_URL", "http://environment:1/base")
    run("status")
    run("status", "--url", "http://option:2")
    assert [str(request.url) for request in service.asked] == [
        "http://127.0.0.1:5000/status.json",
        "http://environment:1/base/status.json",
        "http://option:2/status.json",
    ]


def test_a_service_that_wants_a_key_is_told_with_the_way_to_give_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that tells who is ready to everybody, and takes pictures with a key only
    def guarded(request: httpx.Request) -> httpx.Response:
        return Service()(request) if request.method == "GET" else problem(401, "This API key is not valid.")

    use(monkeypatch, guarded)
    # When a picture is classified
    assert run("classify", "good.png") == 3
    # Then what is wrong is told, and what to do, and no empty table is shown
    shown = capsys.readouterr()
    assert "This API key is not valid." in shown.err and "TOPTHREE_API_KEY" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--out", "out.csv"], "Stopped at 0 of 1. Run the same command to resume.\n"), ([], "Stopped at 0 of 1.\n")],
)
def test_ctrl_c_is_told_with_what_is_left(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(classify_command.SingleUploads, "answers", interrupted)
    assert run("classify", "good.png", *arguments) == 130
    assert capsys.readouterr().err == f"topthree: {told}"


def test_a_long_wait_is_told_once(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a quota that is used up for a minute, for all who ask at once, and a short wait before
    refusals = [problem(503, "Just now.", **{"Retry-After": "1"})]
    refusals += [problem(429, "Too many uploads.", **{"Retry-After": "60"}) for _ in range(2)]

    def busy(request: httpx.Request) -> httpx.Response:
        return refusals.pop(0) if request.method == "POST" and refusals else Service()(request)

    use(monkeypatch, busy, patience_seconds=300)
    Path("another.png").write_bytes(b"another")
    # When pictures are classified
    assert run("classify", "good.png", "another.png", "--out", "out.csv") == 0
    # Then it is said why nothing happens, and for how long
    line, summary = capsys.readouterr().err.splitlines()
    assert summary.startswith("2 pictures: 2 labelled -> out.csv, ")
    assert "Too many uploads" in line and re.search(r"trying again in [6-9]\d s", line)
    assert "Just now" not in line


def test_an_output_is_written_where_there_is_no_standard_output(tmp_path: Path) -> None:
    # Given a program whose standard output is closed, as that of some daemons
    out = tmp_path / "out.csv"
    program = (
        "import sys; from pathlib import Path; from topthree_client.output import open_output\n"
        "assert sys.stdout is None\n"
        f"open_output('csv', Path({str(out)!r}), 1).close()"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", program],
        env={**os.environ, **ENVIRON},
        stderr=subprocess.PIPE,
        check=False,
    )
    # Then the file is there
    assert (done.returncode, done.stderr) == (0, b"")
    assert out.read_bytes().startswith(b'"file"')


@pytest.mark.parametrize(
    ("stdout", "code", "told"),
    [("closed pipe", 1, b""), ("/dev/full", 2, b"topthree: cannot write: No space left on device\n")],
)
def test_what_cannot_be_printed_is_told_in_a_sentence_unless_nobody_reads(stdout: str, code: int, told: bytes) -> None:
    # Given a standard output that takes nothing
    reading, writing = os.pipe()
    os.close(reading)
    if stdout == "/dev/full":
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    # When the command prints into it
    program = (
        "import sys; from topthree_client import command_line\n"
        "command_line.status = lambda *_: print('labels', flush=True)\n"
        "sys.exit(command_line.main(['status']))"
    )
    environ = {**os.environ, **ENVIRON}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    # Then there is no more than one sentence
    assert (done.returncode, done.stderr) == (code, told)

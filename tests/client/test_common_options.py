"""The options of every command, before and after it, and what is said on standard error."""

import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.client.conftest import RECORD, Run, Service, accepted, use
from tests.support.command_line import COMMAND, ENVIRON, topthree
from topthree_client import Label, Result
from topthree_client.file_answers import Answer
from topthree_client.formats import percent
from topthree_client.output import TableOutput
from topthree_client.summary import Tally, summary


def test_the_version_is_that_of_the_package() -> None:
    done = topthree("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"topthree {version('topthree-client')}\n")


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        (["--url", "http://before", "status"], "before"),
        (["status", "--url", "http://after"], "after"),
        (["--url", "http://before", "status", "--url", "http://after"], "after"),
        (["--url", "http://before", "--timeout", "5", "classify", "good.png"], "before"),
    ],
)
def test_common_options_stand_before_or_after_the_command(
    run: Run, service: Service, arguments: list[str], host: str
) -> None:
    run(*arguments)
    assert {request.url.host for request in service.asked} == {host}


def open_forever(request: httpx.Request) -> httpx.Response:
    if request.url.path.startswith("/result"):
        return httpx.Response(202, json={"id": "a" * 32, "status": "queued"}, headers={"Retry-After": "1"})
    return Service()(request)


def test_a_picture_that_takes_longer_than_the_timeout_has_no_answer(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service whose jobs do not end
    use(monkeypatch, open_forever)
    # When a picture is classified with a limit
    assert run("classify", "good.png", "--timeout", "0.3", "--out", "out.csv") == 1
    # Then standard error says so, and the next run joins the job
    told = capsys.readouterr().err
    assert f"good.png: The job {'a' * 32} has not ended within 0.3 s." in told and "1 not answered" in told
    assert Path("out.csv.resume").exists() and len(Path("out.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none_is_refused(run: Run, capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit):
        run("status", f"--timeout={value}")
    assert "is not a number of seconds" in capsys.readouterr().err


def test_quiet_leaves_only_errors_and_labels(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a good and a bad picture, and a file that is skipped
    Path("notes.txt").touch()
    # When they are classified quietly, Then only the bad one is mentioned
    assert run("-q", "classify", ".") == 1
    shown = capsys.readouterr()
    assert shown.err == "topthree: ./bad.png: This is not a picture.\n" and "cat" in shown.out


def test_verbose_names_each_request(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", "good.png", "-v") == 0
    told = capsys.readouterr().err
    assert told.count("HTTP Request: POST http://127.0.0.1:5000/upload") == 1 and "/health/ready" in told


def test_verbose_names_each_retry(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service whose answer is lost once
    lost = [httpx.ReadError("reset")]

    def lose(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and lost:
            raise lost.pop()
        return Service()(request)

    use(monkeypatch, lose, patience_seconds=30)
    assert run("classify", "good.png", "-v") == 0
    assert "cannot be reached: reset; trying again in 0.1 s" in capsys.readouterr().err


def test_one_bad_path_does_not_stop_the_rest(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a picture, a path without a file and one that is no path
    # When all are classified
    assert run("classify", "nosuch.png", "good.png", "", "--out", "out.jsonl") == 1
    # Then each bad path is told once, the picture is answered, and the summary counts them
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [
        "topthree: nosuch.png: there is no such file or folder",
        "topthree: '': there is no such file or folder",
    ]
    assert told[2].startswith("1 picture: 1 labelled, 2 paths not read -> out.jsonl, ") and len(told) == 3
    assert len(Path("out.jsonl").read_text().splitlines()) == 1


def test_a_run_that_the_service_ends_says_how_far_it_came(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Service(most=1))
    Path("another.png").write_bytes(b"another")
    assert run("classify", "good.png", "another.png", "--jobs", "1", "--out", "out.csv") == 3
    assert "Stopped at 1 of 2. Run the same command to resume." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tally", "unreadable", "out", "seconds", "line"),
    [
        (Tally(400, 397, failed=3), 0, Path("many.csv"), 7.2, "400 pictures: 397 labelled, 3 failed -> many.csv, 7 s"),
        (Tally(1, 1), 0, None, 0.34, "1 picture: 1 labelled, 0.3 s"),
        (Tally(3, 1, unsure=1, unanswered=1), 1, None, 59.6,
         "3 pictures: 1 labelled, 1 below --min-confidence, 1 not answered, 1 path not read, 1 min 0 s"),
        (Tally(2, 2, earlier=2), 0, None, 1, "2 pictures (2 by an earlier run): 2 labelled, 1 s"),
    ],
)  # fmt: skip
def test_the_summary(tally: Tally, unreadable: int, out: Path | None, seconds: float, line: str) -> None:
    assert summary(tally, unreadable, out, seconds) == line


@pytest.mark.parametrize(("confidence", "text"), [(0.69679, "69.7%"), (1, "100.0%"), (0.0011, "0.1%"), (0, "<0.1%")])
def test_confidences_are_percentages(confidence: float, text: str) -> None:
    assert percent(confidence) == text


@pytest.mark.parametrize("top", [1, 3, 10])
def test_a_table_fits_80_columns_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], top: int
) -> None:
    # Given a terminal of 80 columns and labels of a usual length
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    names = [f"black-and-tan coonhound {place}" for place in range(top)]
    table = TableOutput(top)
    for name in ("folder/of/pictures/with/a/long/name/IMG_20261127_190058.jpg", "b.png"):
        table.add(Answer(name, Result(tuple(Label(name, 0.12345) for name in names), "m", "d")))
    # When they are printed
    table.close()
    # Then no line is longer, and every label is whole
    shown = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"{name} 12.3%" in shown for name in names) and "…" not in shown


class Answers(BaseHTTPRequestHandler):
    """A service whose jobs end at once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = {"/health/ready": Service()(httpx.Request("GET", "http://service/health/ready"))}
        self._give(known.get(self.path, httpx.Response(200, json=RECORD)))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._give(accepted())

    def _give(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def shown_in_a_window(command: list[str], cwd: Path, read: Callable[[int], str], **environ: str) -> str:
    controller, window = pty.openpty()
    environment = {**os.environ, **ENVIRON, "TERM": "xterm-256color", **environ}
    running = subprocess.Popen(command, cwd=cwd, env=environment, stdout=window, stderr=window)
    os.close(window)
    shown = read(controller)
    assert running.wait(30) == 0, shown
    return shown


def read_to_the_end(controller: int) -> str:
    shown = b""
    with os.fdopen(controller, "rb", buffering=0) as window:
        try:
            while chunk := window.read(10_000):
                shown += chunk
        except OSError:  # Linux' way to say that the last program has left the window
            pass
    return shown.decode()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_is_heeded(url: str, tmp_path: Path, no_color: str) -> None:
    # Given a picture and a window with colors
    (tmp_path / "a.png").write_bytes(b"a picture")
    # When it is classified there, with and without NO_COLOR
    command = [*COMMAND, "classify", "a.png", "--url", url]
    shown = shown_in_a_window(command, tmp_path, read_to_the_end, NO_COLOR=no_color)
    # Then there are colors, or none
    assert "cat 70.0%" in shown
    assert ("\x1b[38;5;" in shown or "\x1b[3" in shown) == (not no_color)

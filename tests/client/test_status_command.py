"""`topthree status`: what it prints, with --json and --watch, and its exit codes."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.client.conftest import STATUS, Run, problem, use
from topthree_client import status_command

FAILURE = {
    "finished": "2026-11-22T17:02:03.871+00:00",
    "status": 500,
    "title": "Model failed",
    "attempts": 1,
    "worker": "w",
}
FOR_OPERATORS = {"id": "a" * 32, "detail": "A \x1b[31mdetail.", "retryable": True, "poison": False}


def answers(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have the service answer with its status, changed so."""
    use(monkeypatch, lambda _: httpx.Response(200, json={**STATUS, **changes}))


class Watched:
    """Answers in order, then has the user press Ctrl-C; counts the pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *given: Callable[[], httpx.Response]) -> None:
        self._given = list(given)
        self.pauses: list[float] = []
        use(monkeypatch, lambda _: self._given.pop(0)())
        monkeypatch.setattr(status_command.time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self._given:
            raise KeyboardInterrupt


def fine(queued: int = 3) -> Callable[[], httpx.Response]:
    jobs = {**STATUS["jobs"], "queued": queued}  # type: ignore[dict-item]
    return lambda: httpx.Response(200, json={**STATUS, "jobs": jobs})


def gone() -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_the_status_is_told_in_words(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "http://127.0.0.1:5000",
        "workers: 1 ready",
        "jobs: 3 queued, 2 running, 1 failed recently; the oldest is 7 s old",
        "done: 1,204 in the last full minute, 59,207 in the last hour",
    ]
    assert any(line.split()[:3] == ["w", "m", "(dddddddddddd)"] for line in lines)
    assert lines[-1] == "Run `make failed` on the service's host to see why jobs failed."


def test_without_a_worker_the_exit_code_is_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, workers=[])
    assert run("status") == 1
    assert "workers: 0 ready; pictures wait" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        problem(503, "The service cannot reach its storage right now."),
        problem(401, "This API key is not valid."),
        problem(404),
        httpx.Response(200, json={"status": "ready"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={**STATUS, "ended": {}}),
        httpx.Response(200, text="hello"),
    ],
)
def test_a_service_that_has_no_status_is_a_3(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: httpx.Response
) -> None:
    use(monkeypatch, lambda _: answer)
    assert run("status") == 3
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("topthree: http://127.0.0.1:5000 ")


def test_what_is_unusual_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    webhooks = {"open": 4, "overdue_seconds": 9, "given_up": 2}
    answers(monkeypatch, batches={"open": 1}, webhooks=webhooks, refusal="The queue is full.")
    run("status")
    told = capsys.readouterr().out
    for line in ("batches: 1 open", "webhooks: 4 open, 2 given up", "pictures are refused: The queue is full."):
        assert f"{line}\n" in told


def test_operators_see_why_jobs_failed_and_nothing_controls_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answers(monkeypatch, failures=[{**FAILURE, **FOR_OPERATORS}] * 9)
    run("status")
    told = capsys.readouterr().out
    # The id is in one piece, so that it can be copied
    assert told.count("a" * 32) == 5 and "Model failed: A" in told and "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_a_title_that_the_detail_repeats_is_not_shown_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    detail = "The picture cannot be decoded: image file is truncated."
    answers(
        monkeypatch, failures=[{**FAILURE, **FOR_OPERATORS, "title": "Picture cannot be decoded", "detail": detail}]
    )
    run("status")
    assert f"2026-11-22 17:02:03 UTC   {detail}   {'a' * 32}" in capsys.readouterr().out


def test_others_see_reasons_without_ids(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, failures=[FAILURE])
    run("status")
    assert "2026-11-22 17:02:03 UTC   Model failed" in capsys.readouterr().out


def test_json_is_what_the_service_tells(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--json") == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == STATUS and shown.count("\n") == 1


def test_watch_prints_an_object_a_line_until_ctrl_c(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that goes away and comes back
    watched = Watched(monkeypatch, fine(1), fine(2), gone, fine(3))
    # When its status is watched, Then every answer is a line, what is wrong is told, and Ctrl-C ends it
    assert run("status", "--watch", "--json") == 130
    shown = capsys.readouterr()
    assert [json.loads(line)["jobs"]["queued"] for line in shown.out.splitlines()] == [1, 2, 3]
    assert "cannot be reached: refused" in shown.err and "Traceback" not in shown.err
    assert watched.pauses == [2.0] * 4


def test_watch_without_a_terminal_prints_it_again_and_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Watched(monkeypatch, fine(1), fine(2))
    assert run("status", "--watch") == 130
    told = capsys.readouterr().out
    assert told.index("jobs: 1 queued") < told.index("jobs: 2 queued")


def test_watch_does_not_wait_for_a_service_that_was_never_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, gone)
    assert run("status", "--watch") == 3
    assert watched.pauses == []


def test_watch_on_a_terminal_redraws_in_place(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a terminal
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    Watched(monkeypatch, fine(1), gone, fine(2))
    # When the status is watched
    assert run("status", "--watch") == 130
    shown = capsys.readouterr()
    # Then the cursor moves up before each new state, and is seen again in the end
    assert "jobs: 2 queued" in shown.out[shown.out.index("\x1b[1A") :]
    assert "cannot be reached" in shown.out and shown.out.count("\x1b[?25l") == shown.out.count("\x1b[?25h") == 1

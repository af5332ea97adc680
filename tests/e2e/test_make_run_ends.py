"""However `make run` ends and whatever becomes of its output, nothing of it is left, and nothing accepted is lost."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import requests

from deploy.local.embedded_redis import free_port
from tests.support.commands import call
from tests.support.make_run import (
    READY_SECONDS,
    accept,
    answer_of,
    command_of,
    curl_line,
    descendants,
    is_ready,
    kill,
    make_run,
    settings,
    wait_gone,
    workers,
)
from tests.support.repository import ROOT
from tests.support.terminal import Terminal
from tests.support.wait import eventually

FRONT = "python -m deploy.local "
MANAGER = "deploy.local.manager"


@pytest.fixture(autouse=True)
def _prepared(model_dir: Path) -> None:
    """The model is prepared once for all tests; `make run` finds it."""


def test_ctrl_c_ends_it_when_its_output_goes_to_tee(tmp_path: Path) -> None:
    # Given a service whose output goes through a pipe of its terminal
    port, log = free_port(), tmp_path / "log"
    with Terminal(f"make run 2>&1 | tee {log}", tmp_path / "shown", **settings(port)) as terminal:
        terminal.wait_ready(lambda: "Ready on" in content(log))
        family = terminal.family
        # When Ctrl-C is pressed, which ends tee too
        terminal.press(b"\x03")
        # Then nothing is left
        wait_gone(family, port)


# What a good start and a good end show in a terminal.
GOOD_LINES = (
    r"Starting on \S+ with 1 worker process …",
    r"\S+Z \[info     \] (model|serving on|worker) .*",
    r"Ready on \S+ with the model \S+",
    r"(Web page|API docs|Try it|Stop it): +\S.*",
    r"(\^C)?Stopping: running jobs are finished …",
    r"Stopped\. \d+ jobs? kept for the next start\.",
)


def test_a_good_start_and_a_good_end_show_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    # Given a service in a terminal, the second time with jobs of the first
    for name in ("first", "second"):
        with Terminal("make run", tmp_path / name, **settings(port)) as terminal:
            terminal.wait_ready(lambda terminal=terminal: "Stop it:" in terminal.shown)
            family = terminal.family
            # When Ctrl-C is pressed while its worker is busy
            for _ in range(30):
                accept(port)
            terminal.press(b"\x03")
            wait_gone(family, port)
            # Then every line is about the service as a whole, or a log line of one format
            lines = [line.rstrip() for line in terminal.shown.splitlines()]
            # The first line and the last are those of `script`.
            shown = [line for line in lines if line and not line.startswith("Script ")]
            assert [line for line in shown if not any(map(partial(fits, line), GOOD_LINES))] == []
            # And how to stop comes last but for what happens then, and what a slow process logs meanwhile
            told = [line for line in shown if "[info" not in line]
            assert [line[:7] for line in told[-3:]] == ["Stop it", "^CStopp", "Stopped"], shown


def fits(line: str, pattern: str) -> bool:
    return re.fullmatch(pattern, line) is not None


def test_it_serves_though_nobody_reads_any_more_and_ends_with_its_window(tmp_path: Path) -> None:
    # Given a service whose output goes to a program that ends after a line
    port = free_port()
    with Terminal("make run 2>&1 | head -n 1", tmp_path / "shown", **settings(port)) as terminal:
        # Then it becomes ready all the same
        terminal.wait_ready(lambda: is_ready(port))
        assert "Starting on" in terminal.shown
        # And when its window is closed, nothing is left
        family = terminal.family
        terminal.close_window()
        wait_gone(family, port)


def test_a_window_that_knows_ascii_only_shows_it_and_ends_it_when_closed(tmp_path: Path) -> None:
    # Given a service in a window with an encoding that has no "…"
    port = free_port()
    with Terminal("make run", tmp_path / "shown", PYTHONIOENCODING="ascii", **settings(port)) as terminal:
        # Then it runs and says so
        terminal.wait_ready(lambda: "Ready on" in terminal.shown)
        # And when its window is closed, nothing is left
        family = terminal.family
        terminal.close_window()
        wait_gone(family, port)


def test_a_service_behind_nohup_outlives_its_window_until_it_is_stopped(tmp_path: Path) -> None:
    # Given a service that is to outlive its window
    port, log = free_port(), tmp_path / "log"
    with Terminal(f"nohup make run > {log} 2>&1", tmp_path / "shown", **settings(port)) as terminal:
        terminal.wait_ready(lambda: "Ready on" in content(log))
        family = terminal.family
        # When the window is closed, Then it serves on
        terminal.close_window()
        assert '"predicted_label":"traffic light"' in answer_of(curl_line(log.read_text("utf-8")))
        # And when it is stopped from elsewhere, that waits until nothing is left, and says so
        done = call(["make", "stop"], {"PORT": str(port)}, 60)
        assert (done.returncode, "has ended" in done.stdout) == (0, True), done.stdout
        wait_gone(family, port)
        # And a second time there is nothing to stop
        done = call(["make", "stop"], {"PORT": str(port)}, 60)
        assert (done.returncode, "no `make run`" in done.stdout) == (0, True), done.stdout


def content(log: Path) -> str:
    return log.read_text("utf-8") if log.exists() else ""


class Outputs:
    """Standard outputs that are hard to write to, each with what reads what arrives."""

    def __init__(self, folder: Path) -> None:
        self._errors = folder / "stderr"
        self._sockets = socket.socketpair()

    def of_kind(self, kind: str) -> tuple[str, int, Callable[[], str]]:
        """Return how a shell opens it, what is inherited as standard output, and how to read what arrived."""
        if kind == "socket":
            return "", self._sockets[1].fileno(), self._received
        redirection = {"closed": ">&-", "full": "> /dev/full"}[kind]
        return f"{redirection} 2> {self._errors}", subprocess.DEVNULL, lambda: self._errors.read_text("utf-8")

    def _received(self) -> str:
        return self._sockets[0].recv(1_000_000, socket.MSG_PEEK).decode()

    def close(self) -> None:
        for end in self._sockets:
            end.close()


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Outputs]:
    outputs = Outputs(tmp_path)
    yield outputs
    outputs.close()


@contextmanager
def started(redirection: str, stdout: int, port: int) -> Iterator[tuple[int, set[int]]]:
    """`make run` that is ready: its process and all below it."""
    with subprocess.Popen(
        ["bash", "-c", f"exec make run {redirection}"],
        cwd=ROOT,
        env={**os.environ, **settings(port)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout,
        start_new_session=True,
    ) as process:
        family = set()
        try:
            eventually(lambda: is_ready(port) or process.poll() is not None, READY_SECONDS, "a ready service")
            family = descendants(process.pid)
            yield process.pid, family
        finally:
            kill(family | descendants(process.pid) | {process.pid})


@pytest.mark.parametrize(
    ("kind", "killed"),
    [
        ("socket", ["make run"]),
        ("closed", [FRONT]),
        ("full", [MANAGER]),
        ("socket", [FRONT, "make run"]),
        ("closed", [MANAGER, FRONT, "make run"]),
    ],
)
def test_nothing_is_left_when_it_is_killed(outputs: Outputs, kind: str, killed: list[str]) -> None:
    # Given a service with an odd standard output, and a job that it has accepted
    port = free_port()
    redirection, stdout, read = outputs.of_kind(kind)
    with started(redirection, stdout, port) as (pid, family):
        # Then its output arrives where it can
        eventually(lambda: "Ready on" in read(), 10, "its output")
        accept(port)
        # When some of its processes are killed
        commands = {member: command_of(member) for member in family | {pid}}
        victims = [member for member, command in commands.items() if any(words in command for words in killed)]
        assert len(victims) == len(killed), commands
        kill(victims)
        # Then nothing is left
        wait_gone(family | {pid}, port)


def test_what_was_accepted_is_there_after_everything_was_killed(tmp_path: Path) -> None:
    # Given a service with accepted jobs
    port = free_port()
    with make_run(tmp_path / "first", port) as process:
        results = [accept(port) for _ in range(20)]
        family = descendants(process.pid)
        # When all its processes are killed but those that serve
        kill(member for member in family if "deploy.local" in command_of(member))
        process.kill()
        # And it is started again at once
        with make_run(tmp_path / "second", port) as second:
            assert "Ready on" in second.output, second.output
            # Then every job ends
            for result in results:
                answer = requests.get(f"http://127.0.0.1:{port}{result}", headers={"Prefer": "wait=30"}, timeout=60)
                assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")


def test_a_reader_that_halts_does_not_halt_the_service() -> None:
    # Given a service whose output goes into a pipe that is full, as a pager leaves it
    port = free_port()
    source, target = os.pipe()
    try:
        with started("", target, port) as (pid, family):
            fill(target)
            # When its worker dies
            before = workers(port)
            kill(member for member in family if "-m worker" in command_of(member))
            # Then it is started again, whatever there is to say about that
            eventually(lambda: workers(port) - before, 60, "a new worker")
            # And the service stops
            os.kill(pid, signal.SIGTERM)
            wait_gone(family | {pid}, port)
    finally:
        os.close(source)
        os.close(target)


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b" " * 512)
    os.set_blocking(pipe, True)

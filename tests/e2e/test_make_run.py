"""`make run`, as a person would use it: ready, used, broken, stopped, started again."""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from deploy.local.embedded_redis import free_port
from tests.support.make_run import (
    alive,
    answer_of,
    command_of,
    curl_line,
    descendants,
    find,
    make_run,
    press_ctrl_c,
    workers,
)
from tests.support.processes import Process
from tests.support.repository import ROOT
from tests.support.wait import eventually

TRAFFIC_LIGHT = ROOT / "examples" / "traffic_light.png"


@dataclass(frozen=True)
class Running:
    """A `make run` and its port."""

    process: Process
    port: int


@pytest.fixture(autouse=True)
def _prepared(model_dir: Path) -> None:
    """The model is prepared once for all tests; `make run` finds it."""


@pytest.fixture(scope="module")
def running(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service for all tests that leave it working."""
    port = free_port()
    with make_run(tmp_path_factory.mktemp("running") / "log", port) as process:
        yield Running(process, port)


def test_from_start_to_ctrl_c_and_again(tmp_path: Path) -> None:
    port = free_port()
    # Given a service that says it is ready
    with make_run(tmp_path / "first", port) as process:
        # When the line it printed is run
        done = subprocess.run(curl_line(process.output), cwd=ROOT, capture_output=True, text=True, check=True)
        # Then the picture is recognised
        assert '"predicted_label":"traffic light"' in done.stdout
        # And when Ctrl-C is pressed, nothing of it is left
        picture = TRAFFIC_LIGHT.read_bytes()
        headers = {"Content-Type": "image/png"}
        where = requests.post(f"http://127.0.0.1:{port}/upload", data=picture, headers=headers, timeout=40)
        family = descendants(process.pid)
        press_ctrl_c(process)
        process.wait(40)
        eventually(lambda: not family & set(alive()), 10, "the end of all processes")
    # When it is started again on the same port
    with make_run(tmp_path / "second", port) as process:
        # Then it has prepared and installed nothing, and what was finished is still there
        assert "Installing" not in process.output and "converting" not in process.output
        answer = requests.get(f"http://127.0.0.1:{port}{where.headers['Location']}", timeout=10)
        assert (answer.status_code, answer.json()["result"]) == (200, where.json())


def test_two_run_side_by_side_and_a_third_is_told_that_its_port_is_taken(running: Running, tmp_path: Path) -> None:
    other = free_port()
    # Given two instances
    with make_run(tmp_path / "other", other):
        # Then both have their worker
        for port in (running.port, other):
            eventually(lambda port=port: len(workers(port)) == 1, what="one worker")
    # And one more on a taken port fails with what to do
    with make_run(tmp_path / "third", running.port) as third:
        assert third.wait() != 0
        assert f"port {running.port} is taken" in third.output and "PORT=" in third.output
        assert "Traceback" not in third.output
        # And says which process has it
        assert f"(process {find(running.process, '-m deploy.local ')})" in third.output


@pytest.mark.parametrize("words", ["-m api", "-m worker", "valkey-server"])
def test_what_dies_is_started_again(running: Running, tmp_path: Path, words: str) -> None:
    # Given one of its processes, and a picture whose result the service does not know
    before = descendants(running.process.pid)
    victim = find(running.process, words)
    picture = tmp_path / "picture.png"
    picture.write_bytes(TRAFFIC_LIGHT.read_bytes() + secrets.token_bytes(8))
    # When it is killed
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in alive(), what="the end of the process")
    # Then there is another one, and the service works again
    process = running.process
    eventually(lambda: any(words in command_of(pid) for pid in descendants(process.pid) - before), 60, "a new process")
    url = f"http://127.0.0.1:{running.port}/upload"
    command = ["curl", "-s", "--max-time", "40", "-H", "Content-Type: image/png", "--data-binary", f"@{picture}", url]
    eventually(lambda: "traffic light" in answer_of(command), 60)
    # And nobody has told the password of the embedded server
    password = urlsplit((ROOT / "var" / str(running.port) / "redis.url").read_text("utf-8")).password
    assert password and password not in running.process.output


def test_the_embedded_server_listens_on_loopback_only_and_wants_a_password(running: Running) -> None:
    # Given the embedded server's port
    address = command_of(find(running.process, "valkey-server")).split()[-1]
    host, port = address.rsplit(":", 1)
    # Then it is a loopback address, and a stranger is turned away
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")

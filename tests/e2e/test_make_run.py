"""`make run`, as a person would use it: ready, used, broken, stopped, started again."""

import json
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
from deploy.local.instance import Instance
from tests.support.commands import call
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
    """A running `make run` and its port."""

    process: Process
    port: int


@pytest.fixture(autouse=True)
def _prepared(model_dir: Path) -> None:
    """The model is prepared once for all tests; `make run` finds it."""


@pytest.fixture(scope="module")
def running(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service shared by the tests that do not break it."""
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
        assert "Stopped. 0 jobs kept for the next start." in process.output
    # When it is started again on the same port
    with make_run(tmp_path / "second", port) as process:
        # Then it has prepared and installed nothing, and what was finished is still there
        assert "Installing" not in process.output and "converting" not in process.output
        answer = requests.get(f"http://127.0.0.1:{port}{where.headers['Location']}", timeout=10)
        assert (answer.status_code, answer.json()["result"]) == (200, where.json())


def test_status_shows_the_workers(running: Running) -> None:
    # Given a service, When its status is asked for, Then it says what `topthree status` says
    done = call(["make", "status"], {"PORT": str(running.port)}, 60)
    assert done.returncode == 0 and "workers: 1 ready" in done.stdout, done.stdout
    assert f"http://127.0.0.1:{running.port}" in done.stdout and "efficientnet_lite0" in done.stdout


def test_two_run_side_by_side_and_a_third_on_a_taken_port_fails(running: Running, tmp_path: Path) -> None:
    other = free_port()
    # Given two instances
    with make_run(tmp_path / "other", other):
        # Then both have their worker
        for port in (running.port, other):
            eventually(lambda port=port: len(workers(port)) == 1, what="one worker")
    # And a third one on a taken port fails and says what to do
    with make_run(tmp_path / "third", running.port) as third:
        assert third.wait() != 0
        assert f"port {running.port} is taken" in third.output and "PORT=" in third.output
        assert "Traceback" not in third.output
        # And which process uses the port
        assert f"(process {find(running.process, '-m deploy.local ')})" in third.output


@pytest.mark.parametrize("words", ["-m api", "-m worker", "valkey-server"])
def test_a_killed_process_is_restarted(running: Running, tmp_path: Path, words: str) -> None:
    # Given one of the processes, and a picture whose result is not cached
    before = descendants(running.process.pid)
    victim = find(running.process, words)
    picture = tmp_path / "picture.png"
    picture.write_bytes(TRAFFIC_LIGHT.read_bytes() + secrets.token_bytes(8))
    # When it is killed
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in alive(), what="the end of the process")
    # Then it is replaced, and the service works again
    process = running.process
    eventually(lambda: any(words in command_of(pid) for pid in descendants(process.pid) - before), 60, "a new process")
    url = f"http://127.0.0.1:{running.port}/upload"
    command = ["curl", "-s", "--max-time", "40", "-H", "Content-Type: image/png", "--data-binary", f"@{picture}", url]
    eventually(lambda: "traffic light" in answer_of(command), 60)
    # And a line in the format of all log lines says so
    events = [json.loads(line)["event"] for line in process.output.splitlines() if line.startswith("{")]
    name = words.removeprefix("-m ").removesuffix("-server").replace("valkey", "redis")
    assert f"{name} ended (SIGKILL); it is restarted in 0.5 s" in events, events
    # And the password of the embedded server is not in the output
    password = urlsplit(Instance(running.port).redis_url_file.read_text("utf-8")).password
    assert password and password not in running.process.output


def test_the_embedded_server_listens_on_loopback_only_and_requires_a_password(running: Running) -> None:
    # Given the embedded server's port
    address = command_of(find(running.process, "valkey-server")).split()[-1]
    host, port = address.rsplit(":", 1)
    # Then it listens on a loopback address and refuses commands without the password
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")

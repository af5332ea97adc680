"""`make run`, as a person would use it: ready, used, broken, stopped, started again."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from deploy.local.embedded_redis import free_port
from tests.support.documentation import blocks
from tests.support.processes import ROOT, Process
from tests.support.repository import copy_repository
from tests.support.wait import eventually

# Where it installs everything first, with TensorFlow.
READY_SECONDS = 300
AIR_GAPPED = "docs/how-to/air-gapped.md"


@pytest.fixture(autouse=True)
def _prepared(model_dir: Path) -> None:
    """The model is prepared once for all tests; `make run` finds it."""


@contextmanager
def make_run(log: Path, port: int, cwd: Path = ROOT, **environ: str) -> Iterator[Process]:
    """`make run` in a terminal of its own; whatever is left of it in the end is killed."""
    process = Process(["make", "run"], log, cwd, PORT=str(port), MODEL="efficientnet_lite0", WORKERS="1", **environ)
    family: set[int] = set()
    try:
        eventually(lambda: "Ready on" in process.output or not process.running, READY_SECONDS, "a ready service")
        family = descendants(process.pid)
        yield process
    finally:
        family |= descendants(process.pid)
        # First as a person would: a process manager that is killed one by one starts others meanwhile.
        if process.running:
            press_ctrl_c(process)
            process.wait(60)
        family |= descendants(process.pid)
        process.kill()
        for pid in family & set(alive()):
            os.kill(pid, signal.SIGKILL)


def alive() -> dict[int, int]:
    """Return every process with its parent."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def descendants(pid: int) -> set[int]:
    parents = alive()
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def curl_line(output: str) -> list[str]:
    match = re.search(r"^\s*(curl .*)$", output, re.MULTILINE)
    assert match, output
    return [*shlex.split(match[1]), "-s", "--max-time", "40"]


def answer_of(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def press_ctrl_c(process: Process) -> None:
    """Signal the whole foreground process group, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def find(process: Process, words: str) -> int:
    """Return the id of the oldest process below `process` whose command line has `words`."""
    return min(pid for pid in descendants(process.pid) if words in command_of(pid))


def test_from_start_to_ctrl_c_and_again(tmp_path: Path) -> None:
    port = free_port()
    # Given a service that says it is ready
    with make_run(tmp_path / "first", port) as process:
        # When the line it printed is run
        done = subprocess.run(curl_line(process.output), cwd=ROOT, capture_output=True, text=True, check=True)
        # Then the picture is recognised
        assert '"predicted_label":"traffic light"' in done.stdout
        # And when Ctrl-C is pressed, nothing of it is left
        picture = (ROOT / "examples" / "traffic_light.png").read_bytes()
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


def test_two_run_side_by_side_and_a_third_is_told_that_its_port_is_taken(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    # Given two instances
    with make_run(tmp_path / "one", ports[0]), make_run(tmp_path / "two", ports[1]):
        # Then both answer
        for port in ports:
            assert len(requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=10).json()["workers"]) == 1
        # And one more on a taken port fails with what to do
        with make_run(tmp_path / "three", ports[0]) as third:
            assert third.wait() != 0
            assert f"port {ports[0]} is taken" in third.output and "PORT=" in third.output
            assert "Traceback" not in third.output


@pytest.mark.parametrize("words", ["-m api", "-m worker", "valkey-server"])
def test_what_dies_is_started_again(tmp_path: Path, words: str) -> None:
    port = free_port()
    with make_run(tmp_path / "log", port) as process:
        # Given one of its processes
        victim = find(process, words)
        # When it is killed
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in alive(), what="the end of the process")
        # Then the service works again
        command = curl_line(process.output)
        eventually(lambda: "traffic light" in answer_of(command), 60)
        # And nobody has told the password of the embedded server
        password = urlsplit((ROOT / "var" / str(port) / "redis.url").read_text("utf-8")).password
        assert password and password not in process.output


def test_a_terminal_that_is_closed_ends_everything(tmp_path: Path) -> None:
    with make_run(tmp_path / "log", free_port()) as process:
        family = descendants(process.pid)
        os.killpg(process.pid, signal.SIGHUP)
        eventually(lambda: not family & set(alive()), 40, "the end of all processes")


def test_the_embedded_server_listens_on_loopback_only_and_wants_a_password(tmp_path: Path) -> None:
    with make_run(tmp_path / "log", free_port()) as process:
        # Given the embedded server's port
        address = command_of(find(process, "valkey-server")).split()[-1]
        host, port = address.rsplit(":", 1)
        # Then it is a loopback address, and a stranger is turned away
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100).startswith(b"-NOAUTH")


def test_a_machine_without_a_network_is_served_by_what_was_carried_over(tmp_path: Path, model_dir: Path) -> None:
    # Given wheels and a model from a machine with a network, as the guide has them made
    made, started = [block.text for block in blocks() if block.page == AIR_GAPPED and not block.needs_engine]
    assert "pip download --require-hashes -r requirements/run.txt -d wheels\n" in made
    assert started == "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels make run\n"
    clone = tmp_path / "clone"
    copy_repository(clone)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
    subprocess.run([*download, "-r", "requirements/run.txt", "-d", str(clone / "wheels")], cwd=ROOT, check=True)
    shutil.copytree(model_dir, clone / "models" / model_dir.name)
    # When the service is started where pip asks nobody
    carried = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PYTHON": str(sys._base_executable)}  # type: ignore[attr-defined]
    try:
        with make_run(tmp_path / "log", free_port(), clone, **carried) as process:
            # Then it answers, and nothing was looked for elsewhere
            assert "traffic light" in answer_of(curl_line(process.output))
            assert "Looking in links: wheels" in process.output and "Downloading" not in process.output
    finally:
        # Some gigabytes.
        shutil.rmtree(clone)

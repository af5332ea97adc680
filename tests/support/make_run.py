"""`make run` in a terminal of its own, as a person would use it."""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from tests.support.processes import Process
from tests.support.repository import ROOT
from tests.support.wait import eventually

# Where it installs everything first, with TensorFlow.
READY_SECONDS = 300
# However it ends, nothing of it is left after this time.
GONE_SECONDS = 20


@contextmanager
def make_run(log: Path, port: int, cwd: Path = ROOT, **environ: str) -> Iterator[Process]:
    """`make run` in a terminal of its own; whatever is left of it in the end is killed."""
    process = Process(["make", "run"], log, cwd, **settings(port), **environ)
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
        kill(family)


def settings(port: int) -> dict[str, str]:
    """Return the environment of a small service."""
    return {"PORT": str(port), "MODEL": "efficientnet_lite0", "WORKERS": "1"}


def kill(pids: Iterable[int]) -> None:
    """End those of the processes that are there, at once."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_ready(port: int) -> bool:
    """Whether a worker of the service takes jobs."""
    return bool(workers(port))


def workers(port: int) -> set[str]:
    """Return the names of the workers that take jobs, none while there is no service."""
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).json()
    except requests.ConnectionError:
        return set()
    return {worker["name"] for worker in answer.get("workers", [])}


def accept(port: int) -> str:
    """Upload a picture without waiting and return the path of its result."""
    picture = (ROOT / "examples" / "traffic_light.png").read_bytes()
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
    answer = requests.post(f"http://127.0.0.1:{port}/upload", data=picture, headers=headers, timeout=40)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def wait_gone(family: set[int], port: int) -> None:
    """Wait until none of the processes is left and the port is free; AssertionError if that takes too long."""
    eventually(lambda: not family & alive().keys(), GONE_SECONDS, "the end of all processes")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


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
    match = re.search(r"^Try it: +(curl .*)$", output, re.MULTILINE)
    assert match, output
    return [*shlex.split(match[1]), "-s", "--max-time", "40"]


def answer_of(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def press_ctrl_c(process: Process) -> None:
    """Signal the whole foreground process group, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def command_of(pid: int) -> str:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def find(process: Process, words: str) -> int:
    """Return the id of the oldest process below `process` whose command line has `words`."""
    return min(pid for pid in descendants(process.pid) if words in command_of(pid))

"""`make run` in a terminal of its own, as a person would use it."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Process
from tests.support.repository import ROOT
from tests.support.wait import eventually

# Where it installs everything first, with TensorFlow.
READY_SECONDS = 300


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

"""A data folder is used by one `make run` at a time."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.local.embedded_redis import free_port
from deploy.local.instance import ROOT, Instance

CLAIM = """
import sys
from deploy.local.instance import Instance, InUse
sys.stdin.readline()
try:
    Instance(int(sys.argv[1])).claim()
except InUse as error:
    print("in use by", error.holder.pid, error.holder.port, flush=True)
else:
    print("mine", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def instance() -> Iterator[Instance]:
    instance = Instance(free_port())
    yield instance
    shutil.rmtree(instance.folder, ignore_errors=True)


def start(port: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLAIM, str(port)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_of_many_that_start_at_once_one_gets_the_folder_by_whatever_name(instance: Instance) -> None:
    # Given two names of one folder
    other = Instance(free_port())
    instance.folder.mkdir(parents=True)
    other.folder.symlink_to(instance.folder)
    processes = [start(port) for port in [instance.port, other.port] * 4]
    try:
        # When many take it at the same moment
        for process in processes:
            go(process)
        answers = [said(process) for process in processes]
        # Then one has it, and the others know which
        assert answers.count("mine") == 1
        winner = processes[answers.index("mine")]
        port = [instance.port, other.port][answers.index("mine") % 2]
        assert answers.count(f"in use by {winner.pid} {port}") == len(processes) - 1
        assert instance.is_running() and other.is_running()
        # And when that is killed, it is free
        winner.kill()
        winner.wait()
        assert not instance.is_running()
        last = start(instance.port)
        processes.append(last)
        go(last)
        assert said(last) == "mine"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
        other.folder.unlink()

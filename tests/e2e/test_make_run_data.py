"""Damaged data of `make run`: it says what is damaged, and what it says repairs it."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.embedded_redis import EmbeddedRedis, free_port
from deploy.local.instance import Instance
from tests.support.commands import call, output
from tests.support.make_run import find, make_run, settings
from tests.support.processes import Process
from tests.support.wait import eventually

BASE, LATER = "appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"
MANIFEST = "appendonly.aof.manifest"
# The number of the values before the last rewrite of the file, and of those after it.
EACH = 200
NOBODY = 65534


@pytest.fixture(autouse=True)
def _prepared(model_dir: Path) -> None:
    """The model is prepared once for all tests; `make run` finds it."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """An instance with data, whose Redis was stopped."""
    instance = Instance(free_port())
    instance.folder.mkdir(parents=True)
    with redis_of(instance, tmp_path) as client:
        for number in range(EACH):
            client.set(f"early:{number}", "value")
        client.bgrewriteaof()
        eventually((files_of(instance) / BASE).exists, what="a new file")
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], what="the end of the rewrite")
        for number in range(EACH):
            client.set(f"late:{number}", "value")
    yield instance
    shutil.rmtree(instance.folder)


@contextmanager
def redis_of(instance: Instance, folder: Path) -> Iterator[Any]:
    """A client of the instance's Redis, which is started for it alone."""
    server = EmbeddedRedis.create(instance)
    process = Process(server.command, folder / "redis.log")
    try:
        eventually(lambda: server.answers() or not process.running, what="an answer of Redis")
        with redis.Redis.from_url(server.url) as client:
            yield client
        assert process.stop() == 0
    finally:
        process.kill()


def files_of(instance: Instance) -> Path:
    return instance.folder / "redis" / "appendonlydir"


def break_later(files: Path) -> None:
    data = (files / LATER).read_bytes()
    middle = data.index(b"*3\r\n", len(data) // 2)
    (files / LATER).write_bytes(data[:middle] + b"XX" + data[middle + 2 :])


def break_base(files: Path) -> None:
    data = (files / BASE).read_bytes()
    (files / BASE).write_bytes(data[: len(data) // 2])


def garble_manifest(files: Path) -> None:
    (files / MANIFEST).write_text("garbage\n", "utf-8")


def empty_manifest(files: Path) -> None:
    (files / MANIFEST).write_bytes(b"")


def lose_manifest(files: Path) -> None:
    (files / MANIFEST).unlink()


def lose_later(files: Path) -> None:
    (files / LATER).unlink()


@pytest.mark.parametrize(
    ("damage", "named", "early", "late"),
    [
        (break_later, LATER, EACH, range(1, EACH)),
        (break_base, BASE, 0, [0]),
        (garble_manifest, MANIFEST, EACH, [EACH]),
        (empty_manifest, MANIFEST, EACH, [EACH]),
        (lose_manifest, MANIFEST, EACH, [EACH]),
        (lose_later, LATER, 0, [0]),
    ],
)
def test_what_it_says_repairs_damaged_data(
    instance: Instance, tmp_path: Path, damage: Callable[[Path], None], named: str, early: int, late: list[int]
) -> None:
    # Given damaged data
    damage(files_of(instance))
    damaged = {path.name: path.read_bytes() for path in files_of(instance).iterdir()}
    # When `make run` is tried, Then it ends and names the file
    done = call(["make", "run"], settings(instance.port), 60)
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    sentence = done.stdout.rpartition("make run: ")[2]
    assert named in sentence, done.stdout
    # And when what it says is done
    commands = re.findall(r"^  (\S.*)$", sentence, re.MULTILINE)
    output(["bash", "-ec", "\n".join(commands)], {}, 30)
    # Then a copy of everything is kept
    copy = instance.folder / "redis.damaged-1" / "appendonlydir"
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == damaged
    # And the server starts with all that can be saved
    with redis_of(instance, tmp_path) as client:
        found = [key.decode().partition(":")[0] for key in client.scan_iter()]
    assert found.count("early") == early and found.count("late") in late


def test_a_file_that_was_cut_is_loaded_as_far_as_it_goes(instance: Instance, tmp_path: Path) -> None:
    # Given data whose last write is not complete
    file = files_of(instance) / LATER
    file.write_bytes(file.read_bytes()[:-5])
    # When `make run` is tried, Then it starts by itself
    with make_run(tmp_path / "log", instance.port) as process:
        assert "Ready on" in process.output, process.output


def test_files_of_somebody_else_are_told(instance: Instance) -> None:
    # Given data that this user cannot read
    file = files_of(instance) / LATER
    file.chmod(0)
    become = f"os.setuid({NOBODY})" if os.geteuid() == 0 else "pass"
    program = (
        "import os, pwd, sys; from pathlib import Path; from deploy.local.damage import find_damage;"
        f"{become}; print(find_damage(Path(sys.argv[1])))"
    )
    # When the damage is looked for, Then the file is named, and who should own it
    shown = output([sys.executable, "-c", program, str(instance.folder / "redis")], {}, 30)
    assert "This user cannot read and write" in shown and "chown -R" in shown


def test_a_redis_that_is_killed_while_its_data_is_damaged_ends_the_service(instance: Instance, tmp_path: Path) -> None:
    # Given a service whose data is damaged while it runs
    with make_run(tmp_path / "log", instance.port) as process:
        break_later(files_of(instance))
        # When its Redis is killed
        victim = find(process, "valkey-server")
        os.kill(victim, signal.SIGKILL)
        # Then it is not tried for ever
        assert process.wait(40) != 0
        assert LATER in process.output and "--fix" in process.output

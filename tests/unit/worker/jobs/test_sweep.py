"""Sweeps are programs of their own, one at a time, which end with the worker that started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from tests.support.outcomes import fail
from tests.support.processes import RedisServer
from tests.support.repository import ROOT
from tests.support.supervised import alive, children
from tests.support.wait import eventually
from worker.jobs.sweep import SWEEP_LEASE_KEY, Sweep

REQUEST = JobRequest(ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4), top=3)
TWO_DAYS = 2 * 24 * 3600


@pytest.fixture
def folder(tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for pictures, which the environment leads to."""
    folder = tmp_path / "pictures"
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("IMAGE_STORE_URL", folder.as_uri())
    return folder


@pytest.fixture
def pictures(folder: Path, client: Any) -> dict[str, Path]:
    store = open_image_store(folder.as_uri(), StoreHistory(client, Queue()), set_up=True)
    named = {name: folder / (digit * 32) for name, digit in (("open", "a"), ("left", "b"), ("new", "c"), ("kept", "d"))}
    for path in named.values():
        store.put(path.name, b"data")
    jobs = Jobs(client, Queue(), JobLimits(10, 10_000, 2, 100, 100, 100, 100))
    for name in ("open", "kept"):
        jobs.admit(named[name].name, REQUEST)
    fail(jobs, named["kept"].name, {"status": 500, "title": "T", "detail": "D"})
    for name in ("open", "left", "kept"):
        os.utime(named[name], (time.time() - TWO_DAYS,) * 2)
    return named


@pytest.fixture
def sweep(client: Any, folder: Path) -> Iterator[Sweep]:
    sweep = Sweep(client, Queue(), folder.as_uri())
    yield sweep
    sweep.close()


def test_what_was_left_behind_is_swept_without_waiting_for_it(
    sweep: Sweep, pictures: dict[str, Path], client: Any
) -> None:
    # When a sweep is due
    sweep.run_if_due()
    # Then it is started without waiting for its end
    assert pictures["left"].exists()
    # And what no job waits for goes
    eventually(lambda: not pictures["left"].exists(), what="a sweep")
    assert pictures["open"].exists() and pictures["new"].exists() and pictures["kept"].exists()
    # And no other is due for a while
    assert 0 < client.ttl(SWEEP_LEASE_KEY) <= 600


def test_a_sweep_that_hangs_holds_up_nobody_and_there_is_one_at_a_time(
    sweep: Sweep, pictures: dict[str, Path], client: Any, folder: Path
) -> None:
    # Given a sweep that stands still
    sweep.run_if_due()
    (process,) = children(os.getpid(), "worker.jobs.sweep")
    os.kill(process, signal.SIGSTOP)
    # When the next one is due
    client.delete(SWEEP_LEASE_KEY)
    sweep.run_if_due()
    # Then it is not started
    assert children(os.getpid(), "worker.jobs.sweep") == [process]
    # And when the worker stops, it is gone
    sweep.close()
    assert not alive(process)


def test_only_one_worker_sweeps(client: Any, folder: Path, pictures: dict[str, Path]) -> None:
    first, second = Sweep(client, Queue(), folder.as_uri()), Sweep(client, Queue(), folder.as_uri())
    first.run_if_due()
    before = children(os.getpid(), "worker.jobs.sweep")
    second.run_if_due()
    assert children(os.getpid(), "worker.jobs.sweep") == before
    first.close()


def test_pictures_in_redis_need_no_sweep(client: Any) -> None:
    Sweep(client, Queue(), "redis:").run_if_due()
    assert not client.exists(SWEEP_LEASE_KEY)


def test_without_redis_nothing_is_swept_and_nothing_raised(folder: Path) -> None:
    Sweep(redis.Redis.from_url("redis://127.0.0.1:1/0"), Queue(), folder.as_uri()).run_if_due()


def test_a_sweep_ends_with_its_worker(folder: Path, redis_server: RedisServer, pictures: dict[str, Path]) -> None:
    # Given a worker that has started a sweep, which stands still
    program = (
        "import sys, redis, worker.jobs.sweep as s; "
        f"s.Sweep(redis.Redis.from_url({redis_server.url!r}), s.Queue(), 'file:///x').run_if_due(); "
        "print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as worker:
        assert worker.stdout and worker.stdout.readline()
        (process,) = children(worker.pid)
        os.kill(process, signal.SIGSTOP)
        # When the worker is killed
        worker.kill()
    # Then the sweep ends as soon as it can
    os.kill(process, signal.SIGCONT)
    eventually(lambda: not alive(process), what="the end of the sweep")

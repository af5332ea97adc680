"""The watchdog tells a worker that does not hear from one that has nothing to do."""

import signal
import subprocess
import sys
import threading
import time

import fakeredis
import pytest

from shared.jobs.queue import QUEUE_NAME, Queue
from tests.support.supervised import outlast
from worker.runtime import watchdog
from worker.runtime.watchdog import Watchdog

WARMED = threading.Event()
WARMED.set()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "DEAF_MARGIN_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "IDLE_SECONDS", 0.2)


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


def ends_within(dog: Watchdog, ended: list[bool], seconds: float = 0.6) -> bool:
    """Run the loop for `seconds`; return whether the worker was ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not ended:
        dog.check()
    return bool(ended)


@pytest.fixture
def ended() -> list[bool]:
    return []


@pytest.fixture
def dog(client: fakeredis.FakeRedis, ended: list[bool]) -> Watchdog:
    return Watchdog(client, Queue(), WARMED, job_limit_seconds=0.1, end=lambda: ended.append(True))


def test_a_worker_with_nothing_to_do_is_left_alone(dog: Watchdog, ended: list[bool]) -> None:
    assert not ends_within(dog, ended)


def test_a_worker_that_leaves_jobs_lying_is_ended(
    dog: Watchdog, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    client.lpush(QUEUE_NAME, "message")
    assert ends_within(dog, ended, 5)


def test_a_busy_worker_that_takes_jobs_is_left_alone(
    dog: Watchdog, ended: list[bool], client: fakeredis.FakeRedis
) -> None:
    # Given a long queue
    client.lpush(QUEUE_NAME, "message")
    # When jobs are taken now and then, Then it is no cause to end
    for _ in range(8):
        assert not ends_within(dog, ended, 0.1)
        dog.taken()


def test_a_worker_that_still_loads_its_model_is_left_alone(client: fakeredis.FakeRedis, ended: list[bool]) -> None:
    # Given jobs, and a model that takes long to load
    client.lpush(QUEUE_NAME, "message")
    dog = Watchdog(client, Queue(), threading.Event(), job_limit_seconds=0.1, end=lambda: ended.append(True))
    assert not ends_within(dog, ended)


def test_a_worker_without_redis_is_left_alone(ended: list[bool]) -> None:
    # Given jobs in a queue that cannot be reached
    server = fakeredis.FakeServer()
    client = fakeredis.FakeRedis(server=server, decode_responses=True)
    client.lpush(QUEUE_NAME, "message")
    server.connected = False
    dog = Watchdog(client, Queue(), WARMED, job_limit_seconds=0.1, end=lambda: ended.append(True))
    assert not ends_within(dog, ended)


@pytest.mark.parametrize(("hang", "stopping"), [("STALLED_SECONDS = 0.2", False), ("STOP_MARGIN_SECONDS = -0.8", True)])
def test_a_loop_that_stands_still_and_a_stop_that_hangs_are_killed(hang: str, stopping: bool) -> None:
    # Given a process whose loop never turns, or whose end never comes
    program = f"import worker.runtime.watchdog as w; w.{hang}; w.CHECK_SECONDS = 0.05; "
    program += f"w.Watchdog(None, None, None, 1, print).start(lambda: {stopping}); "
    program += "import threading; threading.Event().wait(20)"
    # Then its watchdog kills it
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_pause_of_the_machine_is_no_hang() -> None:
    # Given a process whose loop may stand still for two seconds
    program = "import threading, worker.runtime.watchdog as w; w.STALLED_SECONDS = 2; w.CHECK_SECONDS = 0.05\n"
    program += (
        "w.Watchdog(None, None, None, 1, print).start(lambda: False); print(flush=True); threading.Event().wait(20)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        # When it is paused for longer, and goes on
        process.send_signal(signal.SIGSTOP)
        outlast(2.5)
        process.send_signal(signal.SIGCONT)
        # Then it is not killed for that
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        # But for a loop that stands still
        assert process.wait(20) == -signal.SIGKILL

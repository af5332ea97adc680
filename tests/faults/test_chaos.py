"""Two APIs and three workers, and everything that can go wrong goes wrong, at once."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.checks import check_recovery, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History, stub_picture
from tests.support.processes import RedisServer
from tests.support.stub_worker import make_picture
from tests.support.supervised import StubService, kill_process, outlast, random_child
from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy

WORKERS = 3
# Of a hundred pictures.
POISONED = 2
# So many that no job fails for being hit by chance; a poisonous one still ends.
ATTEMPTS = "8"


class Chaos:
    """Breaks one thing at a time, for a moment; each method is one fault and leaves nothing broken behind."""

    def __init__(self, server: RedisServer, line: TcpProxy, front: StubService, back: StubService) -> None:
        """`front` has the workers, `back` is the second API."""
        self._server = server
        self._line = line
        self._front = front
        self._back = back
        self.faults: list[Callable[[], None]] = [
            self.kill_child,
            self.kill_worker,
            self.stop_worker,
            self.kill_api,
            self.restart_redis,
            self.kill_redis,
            self.hang_redis,
            self.reset_connections,
            self.cut_line,
            self.slow_line,
        ]

    def kill_child(self) -> None:
        child = random_child(random.choice(self._front.workers))
        with suppress(ProcessLookupError):
            if child is not None:
                os.kill(child, signal.SIGKILL)

    def kill_worker(self) -> None:
        kill_process(random.choice(self._front.workers))

    def stop_worker(self) -> None:
        random.choice(self._front.workers).signal(signal.SIGTERM)

    def kill_api(self) -> None:
        random.choice([self._front, self._back]).restart_api()

    def restart_redis(self) -> None:
        self._server.stop()
        self._server.start()

    def kill_redis(self) -> None:
        self._server.kill()
        self._server.start()

    def hang_redis(self) -> None:
        self._server.process.signal(signal.SIGSTOP)
        outlast(random.uniform(1, 3))
        self._server.process.signal(signal.SIGCONT)

    def reset_connections(self) -> None:
        self._line.reset_all()

    def cut_line(self) -> None:
        self._bad_line(Fault(black_hole=True))

    def slow_line(self) -> None:
        self._bad_line(Fault(latency_seconds=0.3, jitter_seconds=0.2, slice_bytes=64))

    def _bad_line(self, fault: Fault) -> None:
        self._line.fault = fault
        outlast(random.uniform(1, 3))
        self._line.fault = HEALTHY


@pytest.fixture
def line(server: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(server.port) as line:
        yield line


@pytest.fixture
def services(line: TcpProxy, tmp_path: Path) -> Iterator[tuple[StubService, StubService]]:
    """Two APIs; the workers will be the first one's."""
    url = f"redis://127.0.0.1:{line.port}/0"
    both = tuple(StubService(url, tmp_path / name, JOB_ATTEMPTS=ATTEMPTS) for name in ("front", "back"))
    yield both[0], both[1]
    for service in both:
        service.stop()


def some_picture() -> tuple[bytes, Expected]:
    if random.randrange(100) < POISONED:
        return make_picture("sigkill"), Expected("failed", titles=("Too many attempts",))
    return stub_picture(f"sleep={random.uniform(0, 0.1):.3f}")


def test_everything_at_once(
    services: tuple[StubService, StubService], server: RedisServer, line: TcpProxy, scale: Scale
) -> None:
    # Given two APIs and three workers under load
    front, back = services
    front.start(WORKERS)
    back.start_api()
    case = History("two APIs, three workers, everything at once", scale.name, front, back)
    chaos = Chaos(server, line, front, back)
    with case.traffic(scale.jobs, some_picture, per_second=15):
        # When one fault follows the other
        until = time.monotonic() + scale.chaos_seconds
        while time.monotonic() < until:
            random.choice(chaos.faults)()
            outlast(random.uniform(0.2, 1.5))
        # Then the service is back by itself
        check_recovery(front, WORKERS)
        check_recovery(back, WORKERS)
    # And everything that was accepted is answered
    settle(case, server, 240)

"""The scale of the fault suite, and the parts that every case breaks: a server, a service, a history."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fault_case import History
from tests.support.processes import RedisServer
from tests.support.supervised import StubService


@dataclass(frozen=True)
class Scale:
    """How much of a fault a case brings about."""

    name: str = "full"
    jobs: int = 200
    # Where each takes seconds.
    slow_jobs: int = 100
    outage_seconds: float = 60
    hang_seconds: float = 30
    # So often Redis stalls.
    stalls: int = 15
    child_kills: int = 20
    worker_kills: int = 10
    restarts: int = 5
    neighbours: int = 50
    expiry_seconds: int = 15
    chaos_seconds: float = 120
    webhooks: int = 10_000
    batch_pictures: int = 10_000
    failovers: int = 100
    sentinel_failovers: int = 20
    soak_jobs: int = 10_000
    failures: int = 1000
    # Growth in megabytes per 1,000 jobs; a short soak cannot tell it well from warming up.
    soak_megabytes: float = 1


SCALES = {
    "full": Scale(),
    "short": Scale(
        name="short",
        jobs=60,
        slow_jobs=20,
        outage_seconds=8,
        hang_seconds=8,
        stalls=4,
        child_kills=6,
        worker_kills=2,
        restarts=2,
        neighbours=20,
        expiry_seconds=8,
        chaos_seconds=20,
        webhooks=500,
        batch_pictures=400,
        failovers=4,
        sentinel_failovers=2,
        soak_jobs=1000,
        failures=100,
        soak_megabytes=2,
    ),
}


@pytest.fixture(scope="session")
def scale() -> Scale:
    return SCALES[os.environ.get("TOPTHREE_FAULTS") or "full"]


@pytest.fixture
def service(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    """A service on stand-ins that a case may break; nothing of it runs yet."""
    service = StubService(server.url, tmp_path / "service")
    yield service
    service.stop()


@pytest.fixture
def history(scale: Scale, service: StubService) -> Callable[[str], History]:
    """Begins the history of a case."""
    return lambda case: History(case, scale.name, service)

"""Redis fails over to a replica that lags behind: what REDIS_MIN_REPLICAS confirmed is not lost."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.checks import check_recovery
from tests.faults.conftest import Scale
from tests.support.fault_case import History, stub_picture
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.sentinels import Sentinels
from tests.support.supervised import StubService, outlast
from tests.support.wait import eventually

# As between two data centers on a bad day.
LAG_SECONDS = 0.3


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[ReplicatedRedis]:
    with ReplicatedRedis(tmp_path / "redis", LAG_SECONDS) as redis:
        yield redis


@dataclass(frozen=True)
class Setting:
    """What a service asks of replicas, and where its pictures are."""

    min_replicas: int
    in_folder: bool = False

    def __str__(self) -> str:
        return f"REDIS_MIN_REPLICAS={self.min_replicas}" + (", pictures in a folder" if self.in_folder else "")


@pytest.fixture(params=[Setting(1), Setting(1, in_folder=True), Setting(0)], ids=str)
def setting(request: pytest.FixtureRequest) -> Setting:
    setting: Setting = request.param
    return setting


@pytest.fixture
def service(setting: Setting, redis: ReplicatedRedis, tmp_path: Path) -> Iterator[StubService]:
    (tmp_path / "pictures").mkdir()
    store = {"IMAGE_STORE_URL": f"file://{tmp_path}/pictures"} if setting.in_folder else {}
    service = StubService(redis.url, tmp_path / "service", REDIS_MIN_REPLICAS=str(setting.min_replicas), **store)
    yield service
    service.stop()


def test_failovers_under_load(
    service: StubService,
    redis: ReplicatedRedis,
    history: Callable[[str], History],
    scale: Scale,
    setting: Setting,
) -> None:
    # Given a service under load, over a primary whose replica lags behind
    service.start(workers=2)
    case = history(f"Failover to a replica, {setting}")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.02"), per_second=40, seconds=900):
        for number in range(scale.failovers):
            before = len(case.accepted)
            eventually(lambda before=before: len(case.accepted) > before + 5, 60, "accepted uploads")
            outlast(random.uniform(0, 0.5))
            # When the primary dies, or is cut off, and the replica takes its place
            redis.fail_over(cut_off=number % 2 == 1)
            # Then the service works again, by itself
            check_recovery(service, workers=2)
    row = case.measure(120)
    # Then nothing is lost that was confirmed; without confirmation, some is
    if setting.min_replicas:
        assert (row.lost, row.unexpected) == (0, 0)
    else:
        assert row.lost > 0


def test_sentinels_fail_over_under_load(tmp_path: Path, scale: Scale) -> None:
    # Given a service that knows only the sentinels, under load
    with Sentinels(tmp_path / "redis") as sentinels:
        # Both replicas confirm, as the sentinels may promote either.
        service = StubService(sentinels.url, tmp_path / "service", REDIS_MIN_REPLICAS="2")
        try:
            service.start(workers=2)
            case = History("Failover by sentinels", scale.name, service)
            with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1"), seconds=900):
                for _ in range(scale.sentinel_failovers):
                    before = len(case.accepted)
                    eventually(lambda before=before: len(case.accepted) > before + 5, 60, "accepted uploads")
                    # When the primary dies, and the sentinels promote a replica
                    sentinels.fail_over()
                    # Then the service works again, without a restart
                    check_recovery(service, workers=2)
                    sentinels.wait_complete()
            # And nothing is lost
            case.settle(120)
            assert service.restarts == 0
        finally:
            service.stop()

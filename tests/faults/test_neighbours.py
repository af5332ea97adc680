"""Two services share one Redis database; each answers its own jobs and touches nothing of the other's."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.checks import check_records
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History, stub_picture
from tests.support.processes import RedisServer
from tests.support.stub_worker import MODEL
from tests.support.supervised import StubService, kill_process
from tests.support.wait import eventually

NAMES = ("cats", "dogs")


def make_service(name: str, server: RedisServer, folder: Path) -> StubService:
    """Return a service with its own prefix and model, and with all that it keeps in Redis beside jobs."""
    kept = {"RATE_LIMIT": "1000000/hour", "RESULT_CACHE_TTL_SECONDS": "600"}
    return StubService(server.url, folder / name, REDIS_PREFIX=f"{name}:", **kept, **{MODEL: name})


@pytest.fixture
def services(server: RedisServer, tmp_path: Path) -> Iterator[dict[str, StubService]]:
    services = {name: make_service(name, server, tmp_path) for name in NAMES}
    yield services
    for service in services.values():
        service.stop()


def test_two_services_share_one_database(services: dict[str, StubService], server: RedisServer, scale: Scale) -> None:
    # Given two services that differ in their prefix and their model
    for service in services.values():
        service.start(workers=1)
    cases = {name: History(f"two services on one Redis: {name}", scale.name, services[name]) for name in NAMES}
    keys: set[str] = set()
    # When both get the same pictures, under the same idempotency keys
    for number in range(scale.neighbours):
        picture, expected = stub_picture("sleep=0.02")
        for name, case in cases.items():
            case.upload(picture, Expected(label=expected.label, model=name), **{"Idempotency-Key": str(number)})
    # And pictures of their own, and one of them loses its worker
    with server.client() as client, ExitStack() as traffic:
        for name, case in cases.items():
            traffic.enter_context(case.traffic(scale.jobs, lambda name=name: stub_picture("sleep=0.1", model=name)))
        eventually(lambda: len(cases["cats"].accepted) > scale.neighbours + 20, 60, "a load")
        kill_process(services["cats"].workers[0])
        for case in cases.values():
            eventually(lambda case=case: keys.update(client.scan_iter()) or len(case.accepted) > scale.jobs, 60)
    # Then each job is answered by the model of its service
    rows = {name: case.settle(120) for name, case in cases.items()}
    for name in NAMES:
        check_records(server, 30, f"{name}:")
    # And the other one's lost worker is nobody else's business
    assert (rows["dogs"].duplicated, rows["dogs"].restarted) == (0, 0)
    # And every key belongs to one of them
    with server.client() as client:
        keys.update(client.scan_iter())
        prefixes = tuple(f"{name}:" for name in NAMES)
        assert [key for key in keys if not key.startswith(prefixes)] == []

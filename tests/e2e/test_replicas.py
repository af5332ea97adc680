"""`REDIS_MIN_REPLICAS` through HTTP: what too few replicas have is told as such, and refused if there are too few."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.stub_worker import make_picture
from tests.support.wait import eventually


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "primary", "--repl-diskless-sync-delay", "0")
    yield server
    server.kill()


@pytest.fixture
def replica(primary: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "replica", "--replicaof", f"127.0.0.1 {primary.port}")
    yield server
    server.kill()


@pytest.fixture
def service(primary: RedisServer, replica: RedisServer, tmp_path: Path) -> Iterator[Service]:
    """An API that asks for one replica, which is there."""
    service = Service(primary.url, tmp_path / "service", tmp_path, REDIS_MIN_REPLICAS="1")
    service.start_api()
    eventually(lambda: is_ready(service), what="a replica")
    yield service
    service.stop()


def is_ready(service: Service) -> bool:
    return requests.get(f"{service.url}/health/ready", timeout=5).ok


def upload(service: Service, **headers: str) -> requests.Response:
    return service.upload(make_picture(), "picture.png", headers={"Prefer": "respond-async", **headers})


def test_a_replica_that_hangs(service: Service, replica: RedisServer) -> None:
    # Given a service whose replica confirms
    assert eventually(lambda: confirmed(service)).headers["Location"]
    # When the replica hangs
    replica.process.signal(signal.SIGSTOP)
    picture, headers = make_picture(), {"Prefer": "respond-async", "Idempotency-Key": "mine"}
    told = service.upload(picture, "picture.png", headers=headers)
    # Then the client is told that its job is accepted and may be lost, and where it is
    assert (told.status_code, "too few replicas" in told.json()["detail"]) == (504, True), told.text
    assert requests.get(service.url + told.headers["Location"], timeout=10).json()["status"] == "queued"
    # When the replica goes on, Then the same request is confirmed, for the same job
    replica.process.signal(signal.SIGCONT)
    again = eventually(lambda: accepted(service.upload(picture, "picture.png", headers=headers)))
    assert again.headers["Location"] == told.headers["Location"]


def test_a_batch_whose_replica_hangs(service: Service, replica: RedisServer) -> None:
    # Given a batch
    batch = f"{service.url}{requests.post(f'{service.url}/batches', timeout=10).headers['Location']}"
    # When the replica hangs, Then neither its pictures nor its end are confirmed
    replica.process.signal(signal.SIGSTOP)
    picture = make_picture()
    assert add(batch, picture).status_code == 504
    assert close(batch).status_code == 504
    # When it goes on, Then the same requests are, and there is one picture
    replica.process.signal(signal.SIGCONT)
    assert eventually(lambda: accepted(add(batch, picture))).json()["images"][0]["id"]
    assert eventually(lambda: accepted(close(batch))).json()["counts"]["added"] == 1


def test_without_a_replica_nothing_is_accepted(service: Service, replica: RedisServer) -> None:
    # When the replica has gone
    replica.kill()
    # Then the service is not ready, uploads are refused, and both say why
    eventually(lambda: not is_ready(service), what="an answer that tells of it")
    ready = requests.get(f"{service.url}/health/ready", timeout=10).json()["detail"]
    for told in (ready, eventually(lambda: refusal(service), what="a refusal")):
        assert "Redis has 0 connected replicas, and REDIS_MIN_REPLICAS is 1." in told


def accepted(answer: requests.Response) -> requests.Response | None:
    return answer if answer.status_code in (200, 202) else None


def confirmed(service: Service) -> requests.Response | None:
    return accepted(upload(service))


def refusal(service: Service) -> str:
    answer = upload(service)
    return str(answer.json()["detail"]) if answer.status_code == 503 else ""


def add(batch: str, picture: bytes) -> requests.Response:
    files: Any = [("image", ("picture.png", picture))]
    return requests.post(f"{batch}/images", files=files, headers={"Idempotency-Key": "first"}, timeout=10)


def close(batch: str) -> requests.Response:
    return requests.patch(batch, json={"status": "closed"}, timeout=10)

"""Batches from the first picture to the last result, with real processes."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.contract import Contract
from tests.support.processes import Process, RedisServer
from tests.support.stub_worker import digest_of, make_picture
from tests.support.supervised import StubService
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver

SETTINGS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}
# Some of them are larger than what the web server reads at once.
SIDES = [8, 200]


@pytest.fixture
def service(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    service = StubService(server.url, tmp_path / "service", **SETTINGS)
    service.start_api()
    yield service
    service.stop()


class BatchClient:
    """A client of one batch; every answer must be one that the contract has."""

    def __init__(self, service: StubService, contract: Contract, **options: Any) -> None:
        self._service = service
        self._contract = contract
        self.path = self.ask("POST", "/batches", json=options).headers["Location"]

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = requests.request(method, self._service.url + path, timeout=90, **options)
        self._contract.check(method, path, answer)
        return answer

    def add(self, pictures: dict[str, bytes], key: str = "") -> list[dict[str, Any]]:
        files = [("image", (name, data)) for name, data in pictures.items()]
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.ask("POST", f"{self.path}/images", files=files, headers=headers)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["images"])

    def close(self) -> None:
        assert self.ask("PATCH", self.path, json={"status": "closed"}).status_code == 200

    def state(self, prefer: str = "") -> dict[str, Any]:
        return dict(self.ask("GET", self.path, headers={"Prefer": prefer}).json())

    def results(self, after: int = 0) -> list[dict[str, Any]]:
        answer = self.ask("GET", f"{self.path}/results", params={"after": after})
        assert (answer.status_code, answer.headers["Transfer-Encoding"]) == (200, "chunked")
        return [json.loads(line) for line in answer.text.splitlines()]


def test_a_batch_is_classified_and_told(service: StubService, server: RedisServer, tmp_path: Path) -> None:
    sender = Process([sys.executable, "-m", "worker.webhooks"], tmp_path / "w.log", REDIS_URL=server.url, **SETTINGS)
    try:
        with WebhookReceiver() as receiver:
            # Given a batch with a webhook, of two requests, one of which is repeated
            client = BatchClient(service, Contract(), webhook=receiver.url)
            pictures = {f"{n}.png": make_picture(side=SIDES[n % 2]) for n in range(100)}
            more = {"raises.png": make_picture("raise"), "broken.png": b"broken", "last.png": make_picture()}
            client.add(pictures)
            answers = client.add(more, key="k")
            assert client.add(more, key="k") == answers
            assert [each.get("problem", {}).get("status") for each in answers] == [None, 415, None]
            # When a worker runs, and the batch is closed
            service.start_worker()
            client.close()
            # Then a client that waits is told of its end
            state = client.state("wait=50")
            assert state["status"] == "completed"
            assert {name: count for name, count in state["counts"].items() if count} == {
                "added": 102,
                "succeeded": 101,
                "failed": 1,
            }
            # And the results are complete, in the order of adding
            results = client.results()
            del more["broken.png"]
            sent = pictures | more
            assert [found["name"] for found in results] == list(sent)
            assert [found["number"] for found in results] == list(range(1, 103))
            for found in results:
                if found["name"] != "raises.png":
                    assert found["result"]["prediction_1"]["predicted_label"] == digest_of(sent[found["name"]])
            assert results[100]["problem"]["title"] == "Model failed"
            assert client.results(after=100) == results[100:]
            # And the receiver got one message: what the client reads
            eventually(lambda: receiver.arrived, 30, "the webhook")
            (message,) = receiver.messages.values()
            assert (message["type"], message["data"]) == ("batch.completed", state)
            assert (list(receiver.arrived.values()), receiver.flaws) == ([1], [])
    finally:
        sender.kill()


def test_a_canceled_batch_leaves_nothing(service: StubService, server: RedisServer, tmp_path: Path) -> None:
    # Given a batch of which one picture has ended, one runs and many wait
    release = tmp_path / "release"
    client = BatchClient(service, Contract())
    first, *_ = client.add({"a.png": make_picture()})
    client.add({f"{n}.png": make_picture(f"until={release}") for n in range(50)})
    service.start_worker(WORKERS="1")
    eventually(lambda: client.state()["counts"]["succeeded"] == 1, 30, "the first end")
    # When it is canceled
    assert client.ask("DELETE", client.path).status_code == 204
    release.touch()
    # Then it says so, and its pictures and records are gone
    assert client.state()["status"] == "canceled"
    assert service.result(first["id"]).status_code == 410
    with server.client() as redis:
        eventually(lambda: not redis.zcard("jobs:open"), 30, "an end of all jobs")
        assert not [*redis.scan_iter("image:*"), *redis.scan_iter("job:*"), *redis.scan_iter("batch:*:*")]

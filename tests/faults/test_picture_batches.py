"""Pictures under one id while API, workers and Redis are killed: nothing is lost, and nothing is there twice."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.checks import check_records
from tests.faults.conftest import Scale
from tests.support.fault_report import Row, forget_row, write_row
from tests.support.processes import RedisServer
from tests.support.stub_worker import digest_of, make_picture, read_executions
from tests.support.supervised import StubService, kill_process, outlast
from tests.support.wait import eventually

WORKERS = 2
PER_REQUEST = 50
ANSWER_SECONDS = 40
# More than a fault lasts, with a restart.
PATIENCE_SECONDS = 120


@dataclass
class BatchClient:
    """A client that sends pictures under one id and repeats each request until it is answered."""

    service: StubService
    sent: dict[str, str] = field(default_factory=dict)
    """The digest of each picture, by its name, in the order of sending."""
    ids: list[str] = field(default_factory=list)
    repeated: int = 0
    path: str = ""

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Return the first answer that is no refusal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = requests.request(method, self.service.url + path, timeout=ANSWER_SECONDS, **options)
                if answer.status_code != 503:
                    assert answer.ok, answer.text
                    return answer
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, f"no answer to {method} {path}"
            self.repeated += 1
            outlast(0.1)

    def open(self) -> None:
        self.path = self.ask("POST", "/batches", json={"top": 1}).headers["Location"]

    def add(self, count: int) -> None:
        """Send so many pictures in one request."""
        first = len(self.sent)
        pictures = {f"{number}.png": make_picture() for number in range(first, first + count)}
        key = {"Idempotency-Key": f"from {first}"}
        files = [("image", (name, data)) for name, data in pictures.items()]
        # Every other request is sent again, as after a lost answer.
        for _ in range(1 + first // PER_REQUEST % 2):
            images = self.ask("POST", f"{self.path}/images", files=files, headers=key).json()["images"]
        assert [each["name"] for each in images] == list(pictures)
        self.ids += [each["id"] for each in images]
        self.sent |= {name: digest_of(data) for name, data in pictures.items()}

    @contextmanager
    def sending(self, count: int) -> Iterator[None]:
        """Send so many pictures while the block runs; return when all were sent."""
        failures: list[BaseException] = []

        def send() -> None:
            try:
                while len(self.sent) < count:
                    self.add(min(PER_REQUEST, count - len(self.sent)))
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            thread.join()
        if failures:
            raise failures[0]

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the results once each, from where the last stream ended, until the batch is completed."""
        last = 0
        while True:
            state = self.ask("GET", self.path, headers={"Prefer": "wait=2"}).json()
            for line in self._lines(last):
                last = line["number"]
                yield line
            if state["status"] == "completed" and last == state["counts"]["added"]:
                return

    def _lines(self, after: int) -> Iterator[dict[str, Any]]:
        """Yield the whole lines of one stream, which may be cut off."""
        answer = self.ask("GET", f"{self.path}/results", params={"after": after}, stream=True)
        try:
            for line in answer.iter_lines():
                yield json.loads(line)
        except (requests.RequestException, json.JSONDecodeError):
            self.repeated += 1


@pytest.fixture
def batch(service: StubService) -> BatchClient:
    return BatchClient(service)


def break_everything(service: StubService, server: RedisServer, batch: BatchClient, scale: Scale, count: int) -> None:
    """Kill API, workers and Redis in turn while pictures are sent and classified."""
    for number in range(scale.worker_kills):
        # Spread over the whole time.
        share = count * (number + 1) // (scale.worker_kills + 2)
        eventually(lambda share=share: len(batch.sent) >= share, 300, f"{share} pictures that were sent")
        kill_process(service.workers[number % WORKERS])
        outlast(0.3)
        service.restart_api()
        if number < scale.restarts:
            (server.stop if number % 2 else server.kill)()
            outlast(0.5)
            server.start()


def test_a_batch_is_neither_lost_nor_doubled(
    batch: BatchClient, service: StubService, server: RedisServer, scale: Scale, tmp_path: Path
) -> None:
    case = f"batch of {scale.batch_pictures} pictures: API, workers, Redis kill -9"
    forget_row(case, scale.name)
    began = time.monotonic()
    # Given a batch to which pictures are added
    service.start(WORKERS)
    batch.open()
    with batch.sending(scale.batch_pictures):
        # When everything is killed, again and again
        break_everything(service, server, batch, scale, scale.batch_pictures)
    batch.ask("PATCH", batch.path, json={"status": "closed"})
    # Then every picture has one result, its own, in the order of adding
    results = list(batch.read())
    told = {found["id"]: found for found in results}
    wrong = [
        found
        for found, (name, digest) in zip(results, batch.sent.items(), strict=False)
        if found["name"] != name or found.get("result", {}).get("prediction_1", {}).get("predicted_label") != digest
    ]
    executions = read_executions(service.executions_file)
    row = Row(
        case=case,
        scale=scale.name,
        accepted=len(batch.ids),
        finished=len(told),
        lost=len(set(batch.ids) - told.keys()),
        unexpected=len(wrong) + len(results) - len(told) + len(told.keys() - set(batch.ids)),
        duplicated=sum(max(0, executions[digest] - 1) for digest in batch.sent.values()),
        refused=batch.repeated,
        unknown=0,
        restarted=service.restarts,
        seconds=round(time.monotonic() - began, 1),
    )
    write_row(row)
    assert (row.lost, row.unexpected) == (0, 0), wrong[:3]
    assert len(set(batch.ids)) == row.finished == scale.batch_pictures
    # And the counts agree, and so do the records
    counts = batch.ask("GET", batch.path).json()["counts"]
    assert (counts["added"], counts["succeeded"], counts["open"]) == (scale.batch_pictures, scale.batch_pictures, 0)
    check_records(server, 30)
    with server.client() as client:
        assert client.zcard("batches:open") == 0
        # Nothing beyond what was answered was admitted
        assert {key.removeprefix("job:") for key in client.scan_iter("job:*")} == set(batch.ids)

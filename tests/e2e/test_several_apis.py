"""Two API processes over one Redis: what one accepts, the other continues, and it wakes clients that wait elsewhere."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, digest_of, make_picture
from tests.support.wait import eventually

# A waiting request reads its job every 15 s without being woken.
WOKEN_SECONDS = 8
LONG = {"Prefer": "wait=30"}


class Apis:
    """Two API processes, at each of which one request can wait, and a worker that holds a job until `go`."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._gate = folder / "gate"
        settings = {"WORKERS": "2", "MAX_WAITERS": "1", "JOB_TIME_LIMIT_SECONDS": "60"}
        self.first, self.second = (
            Service(redis_url, folder / name, folder, **settings, **{EXECUTIONS: str(folder / "executions")})
            for name in ("first", "second")
        )

    def start(self) -> None:
        self.first.start_api()
        self.second.start_api()
        self.first.start_worker("tests.support.stub_worker")
        self.first.wait_ready()

    def stop(self) -> None:
        self.go()
        self.first.stop()
        self.second.stop()

    def held_picture(self) -> bytes:
        """Return a picture whose job does not end before `go`."""
        return make_picture(f"until={self._gate}")

    def go(self) -> None:
        self._gate.touch()

    def woken(self, api: Service, request: Callable[[], requests.Response], event: Callable[[], Any]) -> Any:
        """Return the body that `request`, which waits at `api`, gets soon after `event`."""
        other = self.first.accept(self.held_picture())
        with ThreadPoolExecutor(1) as pool:
            # Only one request may wait: others get their answers at once, and without the header.
            answer = pool.submit(lambda: eventually(lambda: has_waited(request()), 60, "an answer"))
            eventually(
                lambda: not has_waited(api.result(other, headers={"Prefer": "wait=1"})), what="a waiting request"
            )
            event()
            began = time.monotonic()
            body = answer.result(60).json()
            assert time.monotonic() - began < WOKEN_SECONDS
        return body


def has_waited(answer: requests.Response) -> requests.Response | None:
    """Return the answer if its request was allowed to wait, however long it did."""
    return answer if "Preference-Applied" in answer.headers else None


@pytest.fixture
def apis(server: RedisServer, tmp_path: Path) -> Iterator[Apis]:
    apis = Apis(server.url, tmp_path)
    try:
        apis.start()
        yield apis
    finally:
        apis.stop()


def test_a_client_that_waits_elsewhere_learns_that_its_job_was_canceled(apis: Apis) -> None:
    # Given a job that the first API has accepted, and a client that waits for it at the second
    job_id = apis.first.accept(apis.held_picture())
    # When it is canceled at the first, Then the client is told at once
    body = apis.woken(
        apis.second,
        lambda: apis.second.result(job_id, headers=LONG),
        lambda: requests.delete(f"{apis.first.url}/result/{job_id}", timeout=5).raise_for_status(),
    )
    assert body["status"] == "canceled"


def test_an_upload_that_is_repeated_elsewhere_joins_its_job(apis: Apis) -> None:
    # Given an upload that waits at the first API
    picture, key = apis.held_picture(), {"Idempotency-Key": "one"}
    repeated: list[requests.Response] = []

    def repeat() -> None:
        # When it is repeated at the second, Then there is one job
        repeated.append(apis.second.upload(picture, headers=key | {"Prefer": "respond-async"}))
        apis.go()

    body = apis.woken(apis.first, lambda: apis.first.upload(picture, headers=key | LONG), repeat)
    # And its result is told to who waits, and to who polls
    assert body["prediction_1"]["predicted_label"] == digest_of(picture)
    record = apis.second.finished(repeated[0].json()["id"])
    assert (record["result"], record["attempts"]) == (body, 1)


def test_a_batch_goes_on_at_another_api(apis: Apis) -> None:
    # Given a batch that was opened at one API and filled and closed at the other
    path = requests.post(f"{apis.first.url}/batches", json={}, timeout=5).headers["Location"]
    files = [("image", (name, apis.held_picture())) for name in ("a.png", "b.png")]
    requests.post(f"{apis.second.url}{path}/images", files=files, timeout=5).raise_for_status()
    closing = requests.patch(f"{apis.second.url}{path}", json={"status": "closed"}, timeout=5)
    assert closing.json()["status"] == "closed"
    # When it is completed while a client waits at the first, Then the client is told at once
    body = apis.woken(apis.first, lambda: requests.get(apis.first.url + path, headers=LONG, timeout=60), apis.go)
    assert body["status"] == "completed"
    # And its results can be read at both
    assert len(requests.get(f"{apis.second.url}{path}/results", timeout=5).text.splitlines()) == 2

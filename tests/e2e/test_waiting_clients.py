"""Requests that wait for a result: hundreds at once, clients that disconnect, and a restart of Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.raw_http import answer_within, connect, head, statuses
from tests.support.redis_commands import sent
from tests.support.stub_worker import digest_of, make_picture
from tests.support.supervised import StubService
from tests.support.wait import eventually

MANY = 300


@pytest.fixture
def stub(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    """A service, not yet started, whose workers return the picture's digest as its label."""
    service = StubService(server.url, tmp_path)
    yield service
    service.stop()


def open_jobs(service: Service) -> int:
    return int(requests.get(f"{service.url}/health/ready", timeout=5).json()["jobs"]["open"])


def test_clients_that_disconnect_free_their_slots(server: RedisServer, tmp_path: Path) -> None:
    # Given an API without a worker, with slots for two waiting requests
    service = Service(server.url, tmp_path / "few", tmp_path, MAX_WAITERS="2", WAIT_SECONDS="60")
    picture = make_picture()
    request = head("Content-Type: image/png", f"Content-Length: {len(picture)}") + picture
    try:
        service.start_api()
        # When two clients have waited and disconnected
        for count in (1, 2):
            with connect(service.port) as connection:
                connection.sendall(request)
                eventually(lambda count=count: open_jobs(service) == count, what="a waiting client")

        def waits() -> bool:
            answer = answer_within(3, service.port, request)
            assert statuses(answer) in ([], [503])
            return not answer

        # Then other requests can wait
        eventually(waits, what="a free slot")
    finally:
        service.stop()


def test_hundreds_of_plain_uploads_wait_at_once(stub: StubService) -> None:
    # Given workers that need some time for each picture
    stub.start()
    pictures = [make_picture("sleep=0.01") for _ in range(MANY)]
    # When hundreds of clients upload at once
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(stub.upload, pictures))
    # Then each of them gets the labels of its picture
    assert [answer.status_code for answer in answers] == [200] * MANY
    labels = [answer.json()["prediction_1"]["predicted_label"] for answer in answers]
    assert labels == [digest_of(picture) for picture in pictures]


def test_a_burst_is_stored_in_a_folder_at_every_log_level(server: RedisServer, tmp_path: Path) -> None:
    # Given a service that logs all it can, with pictures in a folder
    (tmp_path / "pictures").mkdir()
    stub = StubService(server.url, tmp_path / "s", IMAGE_STORE_URL=f"file://{tmp_path}/pictures", LOG_LEVEL="DEBUG")
    try:
        stub.start()
        pictures = [make_picture() for _ in range(150)]
        # When many clients upload at once, Then each gets its labels
        with ThreadPoolExecutor(len(pictures)) as pool:
            answers = list(pool.map(stub.upload, pictures))
        assert [answer.status_code for answer in answers] == [200] * len(pictures)
    finally:
        stub.stop()


def test_waiting_requests_survive_a_restart_of_redis(stub: StubService, server: RedisServer) -> None:
    # Given clients with long polls for their jobs
    api = stub.start_api()
    pictures = [make_picture() for _ in range(5)]
    ids = [stub.accept(picture) for picture in pictures]
    with ThreadPoolExecutor(len(ids)) as pool:
        waits = [pool.submit(stub.result, job_id, headers={"Prefer": "wait=50"}) for job_id in ids]
        with server.client() as client:
            eventually(lambda: sent(client).get("hgetall", 0) >= len(ids), what="long polls that have read their jobs")
        # When Redis is killed and restarted, and a worker starts
        server.kill()
        eventually(lambda: "subscription" in api.output, what="an API that noticed")
        server.start()
        stub.start_worker()
        # Then each client gets its labels
        answers = [wait.result() for wait in waits]
    assert [answer.status_code for answer in answers] == [200] * len(ids), answers[0].text
    labels = [answer.json()["result"]["prediction_1"]["predicted_label"] for answer in answers]
    assert labels == [digest_of(picture) for picture in pictures]

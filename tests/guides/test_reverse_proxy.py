"""The guide for reverse proxies: its configuration of nginx, run by nginx, in front of a real API."""

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.documentation import blocks
from tests.support.nginx import nginx
from tests.support.processes import RedisServer, Service
from tests.support.raw_http import connect
from tests.support.stub_worker import digest_of, make_picture
from tests.support.wait import eventually

PAGE = "docs/how-to/reverse-proxy.md"
PREFIX = "/cats"
ASYNC = {"Prefer": "respond-async"}
# How long nginx waits for an answer, in the guide.
NGINX_SECONDS = 60

Start = Callable[..., tuple[Service, str]]


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """Starts an API with the settings it is given, behind nginx; returns it with the URL of the service in nginx."""
    (configuration,) = [block.text for block in blocks() if block.page == PAGE and block.language == "nginx"]
    with ExitStack() as stack:

        def begin(**settings: str) -> tuple[Service, str]:
            environ = {"STUB_EXECUTIONS": str(tmp_path / "executions"), "TRUSTED_PROXIES": "1", **settings}
            service = Service(server.url, tmp_path / "service", tmp_path, **environ)
            stack.callback(service.stop)
            service.start_api()
            behind = configuration.replace("127.0.0.1:5000", f"127.0.0.1:{service.port}")
            url = stack.enter_context(nginx(tmp_path / "nginx", behind))
            return service, url + PREFIX

        yield begin


def test_an_upload_gets_its_labels_and_a_location_with_the_prefix(start: Start) -> None:
    # Given a service with a worker
    service, url = start()
    service.start_worker("tests.support.stub_worker")
    service.wait_ready()
    # When a picture is uploaded through nginx
    picture = make_picture()
    answer = requests.post(f"{url}/upload", files={"image": picture}, timeout=NGINX_SECONDS)
    # Then the client gets the labels, and a location that nginx knows
    assert answer.json()["prediction_1"]["predicted_label"] == digest_of(picture)
    found = requests.get(url.removesuffix(PREFIX) + answer.headers["Location"], timeout=NGINX_SECONDS)
    assert found.json()["status"] == "succeeded"
    # And the page and the contract are there
    assert [requests.get(url + path, timeout=NGINX_SECONDS).status_code for path in ("/", "/docs")] == [200, 200]


def test_the_largest_pictures_pass_in_every_form(start: Start) -> None:
    # Given a picture of nearly `MAX_IMAGE_BYTES`
    _, url = start()
    picture = make_picture(side=2600)
    json_type = {"Content-Type": "application/json"}
    text = json.dumps({"image": base64.encodebytes(picture).decode()})
    # When it is sent through nginx as a form, as bytes and as JSON, Then it is accepted
    answers = [
        requests.post(f"{url}/upload", files={"image": picture}, headers=ASYNC, timeout=NGINX_SECONDS),
        requests.post(f"{url}/upload", data=picture, headers=ASYNC, timeout=NGINX_SECONDS),
        requests.post(f"{url}/upload", data=text, headers=ASYNC | json_type, timeout=NGINX_SECONDS),
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    # And a larger one is refused in the service's own words
    answer = requests.post(f"{url}/upload", data=picture + picture[:2_000_000], headers=ASYNC, timeout=NGINX_SECONDS)
    assert (answer.status_code, "at most 20 MiB" in answer.json()["error"]) == (413, True)


def test_a_large_request_of_a_batch_passes(start: Start) -> None:
    # Given a batch
    _, url = start()
    path = requests.post(f"{url}/batches", json={}, timeout=NGINX_SECONDS).headers["Location"]
    # When pictures that are larger together than a single one may be are added through nginx, Then they are accepted
    files = [("image", (f"{number}.png", make_picture(side=2600))) for number in range(3)]
    answer = requests.post(f"{url.removesuffix(PREFIX)}{path}/images", files=files, timeout=NGINX_SECONDS)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["images"]) == 3


@pytest.mark.nightly
def test_the_longest_wait_ends_before_nginx_gives_up(start: Start) -> None:
    # Given a service without workers
    _, url = start()
    # When a client wants to wait as long as nginx does, or longer
    began = time.monotonic()
    wanted = {"Prefer": "wait=300"}
    answer = requests.post(f"{url}/upload", files={"image": make_picture()}, headers=wanted, timeout=2 * NGINX_SECONDS)
    # Then it gets the id of its job
    assert answer.status_code == 202 and answer.headers["Location"] == f"{PREFIX}/result/{answer.json()['id']}"
    assert 50 < time.monotonic() - began < NGINX_SECONDS


def test_quotas_count_the_clients_of_nginx(start: Start) -> None:
    # Given a quota
    _, url = start(RATE_LIMIT="2/hour")
    port = urlsplit(url).port

    def upload(source: str, claimed: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=NGINX_SECONDS, source_address=(source, 0))
        headers = {**ASYNC, "Content-Type": "image/png", **({"X-Forwarded-For": claimed} if claimed else {})}
        connection.request("POST", f"{PREFIX}/upload", make_picture(), headers)
        status = connection.getresponse().status
        connection.close()
        return status

    # When clients upload, Then each has its own quota, whatever it claims
    assert [upload("127.0.0.1") for _ in range(3)] == [202, 202, 429]
    assert upload("127.0.0.1", "192.0.2.1") == upload("127.0.0.1", '"192.0.2.2') == 429
    assert upload("127.0.0.2") == 202


def test_a_client_of_nginx_that_leaves_gives_its_place_back(start: Start) -> None:
    # Given a service in which one request may wait, and a client that waits
    service, url = start(MAX_WAITERS="1")
    job_id = service.accept(make_picture())
    port = urlsplit(url).port
    request = f"GET {PREFIX}/result/{job_id} HTTP/1.1\r\nHost: x\r\nPrefer: wait=50\r\n\r\n"

    def may_wait() -> bool:
        """Return whether one more request may wait, here for a second."""
        return "Preference-Applied" in service.result(job_id, headers={"Prefer": "wait=1"}).headers

    with connect(port) as connection:
        connection.sendall(request.encode())
        connection.settimeout(2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert not may_wait()
    # When it leaves, Then another one may wait
    eventually(may_wait, what="the place")

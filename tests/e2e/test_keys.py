"""Keys, quotas and request ids through real processes: what is refused, where, and what is logged of it."""

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from shared.api_keys import digest_of
from tests.support.processes import Process, RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, make_picture
from tests.support.wait import eventually, in_time

ALICE, BOB = "topthree_alices-own-key", "topthree_bobs-own-key"
KEYS = f"alice:{digest_of(ALICE)},bob:{digest_of(BOB)}"
ASYNC = {"Prefer": "respond-async"}
UPLOAD = "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 50000\r\n"

StartApi = Callable[..., Service]


@pytest.fixture
def start_api(server: RedisServer, tmp_path: Path) -> Iterator[StartApi]:
    """Starts API processes with the settings it is given; all of them share one Redis."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        service = Service(server.url, tmp_path / str(len(services)), tmp_path, **settings)
        services.append(service)
        service.start_api()
        return service

    yield start
    for service in services:
        service.stop()


def answer_to(service: Service, head: str) -> str:
    """Return the answer to the head of a request alone."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(head.encode() + b"\r\n")
        return connection.recv(65536).decode()


def upload(service: Service, **headers: str) -> requests.Response:
    return service.upload(make_picture(), headers={**ASYNC, **headers})


def test_whoever_has_no_key_is_refused_before_the_body_is_sent(start_api: StartApi) -> None:
    # Given a service that wants keys
    service = start_api(API_KEYS=KEYS)
    # When the head of an upload comes without one or with a wrong one
    for headers, error in (("", ""), ("X-API-Key: wrong\r\n", 'error="invalid_token"')):
        answer = answer_to(service, UPLOAD + headers + "Expect: 100-continue\r\n")
        # Then that is the end of it
        assert answer.startswith("HTTP/1.1 401") and "application/problem+json" in answer
        assert re.search("^www-authenticate: bearer realm=.*" + error, answer, re.IGNORECASE | re.MULTILINE)
    # And with a key the client is told to go on
    assert answer_to(service, UPLOAD + f"X-API-Key: {ALICE}\r\nExpect: 100-continue\r\n").startswith("HTTP/1.1 100")


def test_results_are_seen_by_their_owner_only_and_keys_by_nobody(start_api: StartApi) -> None:
    # Given a service that logs all it can
    service = start_api(API_KEYS=KEYS, LOG_LEVEL="DEBUG", RATE_LIMIT="100/hour")
    # When Alice uploads, and both ask
    job_id = upload(service, Authorization=f"Bearer {ALICE}").json()["id"]
    alices = service.result(job_id, headers={"X-API-Key": ALICE})
    bobs = service.result(job_id, headers={"X-API-Key": BOB})
    nobodys = service.result(job_id)
    # Then she sees her job, he sees none, and who has no key is asked for one
    assert (alices.status_code, bobs.status_code, nobodys.status_code) == (202, 404, 401)
    assert "Bearer" in nobodys.headers["WWW-Authenticate"]
    # And health wants no key
    assert requests.get(f"{service.url}/health/ready", timeout=5).status_code == 200
    # And neither keys nor their digests are in the log
    assert service.api is not None and "serving on" in service.api.output
    for secret in (ALICE, BOB, digest_of(ALICE), digest_of(BOB)):
        assert secret not in service.api.output


@pytest.mark.parametrize(
    ("variable", "value"), [("API_KEYS", "alice:my-secret"), ("RATE_LIMIT", "often"), ("TRUSTED_PROXIES", "all")]
)
def test_a_bad_setting_stops_the_process_and_is_named(
    server: RedisServer, tmp_path: Path, variable: str, value: str
) -> None:
    service = Service(server.url, tmp_path / "api", tmp_path, **{variable: value})
    with pytest.raises(AssertionError):
        service.start_api()
    assert service.api is not None and service.api.wait() == 2
    assert f"api: {variable}" in service.api.output and "secret" not in service.api.output


def test_a_quota_holds_over_all_processes_whatever_a_client_says_of_its_address(start_api: StartApi) -> None:
    # Given two API processes that share a quota and stand behind no proxy
    first, second = (start_api(RATE_LIMIT="2/hour") for _ in range(2))
    # When a client comes under ever new addresses
    forged = [{"X-Forwarded-For": f"192.0.2.{n}", "Forwarded": f"for=192.0.2.{n}"} for n in range(3)]
    answers = [upload(api, **headers) for api, headers in zip((first, second, first), forged, strict=True)]
    # Then it gets what one client gets
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3601
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"


def test_a_quota_holds_for_pictures_of_batches_that_are_added_at_once(start_api: StartApi) -> None:
    # Given two API processes that share a quota
    apis = [start_api(RATE_LIMIT="100/hour", TRUSTED_PROXIES="1") for _ in range(2)]
    files = [("image", (f"{number}.png", make_picture())) for number in range(30)]
    # When each of five clients adds sixteen times thirty pictures at the same time
    for client in range(5):
        headers = {"X-Forwarded-For": f"192.0.2.{client}"}
        path = requests.post(f"{apis[0].url}/batches", json={}, headers=headers, timeout=5).headers["Location"]
        with ThreadPoolExecutor(16) as pool:
            adding = [
                pool.submit(requests.post, f"{api.url}{path}/images", files=files, headers=headers, timeout=30)
                for api in apis * 8
            ]
        # Then some requests are accepted, and never more pictures than the quota allows
        statuses = Counter(answer.result().status_code for answer in adding)
        assert set(statuses) == {200, 429} and 30 * statuses[200] <= 100
        # And of the others only the requests are counted
        answer = upload(apis[0], **headers)
        counted = 30 * statuses[200] + statuses[429] + 2
        assert int(answer.headers["X-RateLimit-Remaining"]) == max(0, 100 - counted)


@pytest.mark.parametrize("proxies", [1, 2])
def test_behind_proxies_the_entry_of_the_first_of_them_counts(start_api: StartApi, proxies: int) -> None:
    # Given a service behind proxies, each of which notes who has asked it
    service = start_api(RATE_LIMIT="1/hour", TRUSTED_PROXIES=str(proxies))

    def through(client: str, said: str = "") -> int:
        noted = [client, "10.0.0.1"][:proxies]
        return upload(service, **{"X-Forwarded-For": ", ".join(filter(None, [said, *noted]))}).status_code

    # When clients come through them, Then each has its own quota
    assert [through("192.0.2.1"), through("192.0.2.2"), through("192.0.2.1")] == [202, 202, 429]
    # And what one says of itself is not believed, however it is written
    said = ("192.0.2.9", "192.0.2.8, 192.0.2.7", "::1", '"192.0.2.9')
    assert [through("192.0.2.1", each) for each in said] == [429] * 4, "an unclosed quote hides no entry of a proxy"


def test_with_quotas_a_redis_that_is_away_answers_503_soon(start_api: StartApi, server: RedisServer) -> None:
    service = start_api(RATE_LIMIT="2/hour", API_KEYS=KEYS)
    server.stop()
    answer = in_time(lambda: upload(service, **{"X-API-Key": ALICE}), 2)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] and answer.headers["X-Request-ID"]


def test_every_answer_has_a_request_id_also_those_of_the_server_itself(start_api: StartApi) -> None:
    service = start_api(TRUSTED_PROXIES="1")
    named = "X-Request-ID: r-1\r\n"
    heads = {
        "200": "GET /health/live HTTP/1.1\r\nHost: x\r\n" + named,
        "404": "GET /nothing HTTP/1.1\r\nHost: x\r\n" + named,
        "413": UPLOAD.replace("50000", "99999999") + named,
        "400": "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n" + named,
    }
    for status, head in heads.items():
        answer = answer_to(service, head).lower()
        assert answer.startswith(f"http/1.1 {status}") and answer.count("\r\nx-request-id: r-1\r\n") == 1, answer
    # What cannot be read, and what could do harm, is given a new one
    for head in ("nonsense\r\n", "GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: $(reboot)\r\n"):
        assert re.search("\r\nx-request-id: [0-9a-f]{32}\r\n", answer_to(service, head).lower())


def test_the_workers_lines_about_a_job_name_the_request_that_brought_it(start_api: StartApi, tmp_path: Path) -> None:
    # Given a worker that tries a job once
    service = start_api(JOB_ATTEMPTS="1")
    worker = service.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(tmp_path / "executions")})
    service.wait_ready()
    # When one picture fails and another kills the child that runs it
    for behaviour, name in (("raise", "r-raise"), ("sigkill", "r-kill")):
        answer = service.upload(make_picture(behaviour), headers={**ASYNC, "X-Request-ID": name})
        job_id = answer.json()["id"]
        service.finished(job_id)
        # Then the lines that tell of it have the ids of the job and the request
        ids = {"job_id": job_id, "request_id": name}
        eventually(lambda ids=ids: told(worker, ids), what=f"a line with {name}")
    # And the lines that are about none have none
    (ready,) = (line for line in lines(worker) if "is ready" in line["event"])
    assert ready.keys() == {"event", "level", "logger", "timestamp"}


def lines(worker: Process) -> list[dict[str, str]]:
    """Return what the worker has logged: all of it is JSON, one object a line."""
    # The last line may be half written.
    return [json.loads(line) for line in worker.output.split("\n")[:-1]]


def told(worker: Process, ids: dict[str, str]) -> bool:
    return any(ids.items() <= line.items() for line in lines(worker))

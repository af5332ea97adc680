"""The running service keeps its contract: schemathesis tries to prove the opposite, and so do requests by hand."""

import base64
import socket
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from deploy.local.embedded_redis import free_port
from tests.support.commands import call
from tests.support.contract import Contract
from tests.support.processes import Process, RedisServer, Service
from tests.support.repository import ROOT
from tests.support.wait import eventually

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
CONFIGURATION = ROOT / "tests" / "support" / "schemathesis.toml"
MOST_SECONDS = 420
# Of a line of its report: it shows whole pictures.
MOST_SHOWN = 400


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


def test_schemathesis_finds_no_failure(server: RedisServer, model_dir: Path, tmp_path: Path) -> None:
    # Given a service with a real worker
    service = Service(server.url, tmp_path, model_dir)
    try:
        service.start_api()
        service.start_worker()
        service.wait_ready()
        # When all of schemathesis' checks run against it
        command = [str(SCHEMATHESIS), "--config-file", str(CONFIGURATION), "run", f"{service.url}/openapi.json"]
        # What it keeps of earlier failures lies in its folder: every run is a first one.
        done = call([*command, "--no-color"], {"PYTHONPATH": str(ROOT)}, MOST_SECONDS, tmp_path)
        # Then none fails, and the service still answers
        report = "\n".join(line[:MOST_SHOWN] for line in done.stdout.splitlines())
        print(report)
        assert done.returncode == 0, report
        assert requests.get(f"{service.url}/health/live", timeout=5).ok
        # And it was not refusals only that held: pictures became jobs
        with server.client() as client:
            assert len(client.keys("job:*")) > 100
    finally:
        service.stop()


def answer_to(service: Service, request: bytes) -> requests.Response:
    """Send bytes that no client would, return the answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    raw = urllib3.HTTPResponse(BytesIO(body), headers, int(first.split()[1]), preload_content=False)
    return HTTPAdapter().build_response(requests.Request("POST", service.url).prepare(), raw)


REFUSED = {
    "a length that is no number": (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", 400),
    "a line that is no request": (b"POST\r\n\r\n", 400),
    "a body that is too large": (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", 413),
    "headers that are too long": (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    "an unknown transfer encoding": (b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_web_server_refuses_is_a_problem_of_the_contract(
    service: Service, contract: Contract, name: str
) -> None:
    request, status = REFUSED[name]
    answer = answer_to(service, request)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    contract.check("POST", "/upload", answer)


def test_every_route_answers_as_the_contract_says(service: Service, contract: Contract) -> None:
    picture = (ROOT / "examples" / "traffic_light.png").read_bytes()

    def ask(method: str, path: str, status: int, **options: Any) -> requests.Response:
        answer = requests.request(method, service.url + path, timeout=40, **options)
        assert answer.status_code == status, answer.text
        contract.check(method, path, answer)
        return answer

    def upload(status: int, data: bytes, **options: Any) -> requests.Response:
        return ask("POST", "/upload", status, files={"image": ("x.png", data)}, **options)

    # When every route is asked for each kind of answer that a healthy service has, Then the contract has it
    for top in (1, 10):
        assert len(upload(200, picture, params={"top": top}).json()) == top
    ask("POST", "/upload", 200, data=picture, headers={"Content-Type": "image/png"})
    ask("POST", "/upload", 200, data=picture)
    ask("POST", "/upload", 200, json={"image": base64.b64encode(picture).decode()})
    queued = upload(202, picture, headers={"Prefer": "respond-async"})
    assert queued.headers["Preference-Applied"] == "respond-async"
    address = queued.headers["Location"]
    ended = ask("GET", address, 200, headers={"Prefer": "wait=30"})
    assert ended.headers["Preference-Applied"] == "wait=30"
    ask("HEAD", address, 200)
    ask("DELETE", address, 204)
    ask("GET", address, 410)
    broken = upload(202, picture[: len(picture) // 2], headers={"Prefer": "respond-async"}).headers["Location"]
    assert ask("GET", broken, 200, headers={"Prefer": "wait=30"}).json()["problem"]["status"] == 422
    upload(422, picture[: len(picture) // 2])
    upload(415, b"not a picture")
    upload(413, b"\xff" * (21 * 1024 * 1024))
    upload(400, b"")
    ask("GET", "/result/" + "0" * 32, 404)
    for path in ("/health/live", "/health/ready", "/openapi.json", "/docs", "/docs/start.js"):
        ask("GET", path, 200)
        ask("HEAD", path, 200)
        ask("OPTIONS", path, 200)
    ask("GET", "/nowhere", 404)
    ask("PUT", "/upload", 405)


BROKEN = """
import sys
from api.__main__ import main
from api import main as module

def application(environ, start_response):
    raise RuntimeError("even the last resort failed")

module.create_app = lambda services: application
sys.exit(main())
"""


def test_an_application_that_fails_altogether_answers_a_problem(tmp_path: Path) -> None:
    # Given the web server around an application that raises
    port = free_port()
    process = Process([sys.executable, "-c", BROKEN], tmp_path / "log", PORT=str(port))
    try:
        # When it is asked, Then the answer is a problem all the same, without what was raised
        (answer,) = eventually(lambda: answers_of(f"http://127.0.0.1:{port}/"), what="an answer")
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert answer.json()["status"] == 500 and "last resort" not in answer.text
    finally:
        process.kill()


def answers_of(url: str) -> list[requests.Response]:
    """Return the answer; none while nobody listens."""
    try:
        return [requests.get(url, timeout=5)]
    except requests.ConnectionError:
        return []

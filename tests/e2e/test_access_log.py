"""The access log of a real process: each request is one line, whoever answers it."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.raw_http import exchange, head
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def logging_service(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("logging")
    service = Service(redis_server.url, folder, folder, ACCESS_LOG="1", TRUSTED_PROXIES="1")
    service.start_api()
    yield service
    service.stop()


def logged(service: Service, name: str) -> list[dict[str, Any]]:
    """Return the lines about the request with this id."""
    assert service.api is not None
    # The last line may be half written.
    found = [json.loads(line) for line in service.api.output.split("\n")[:-1]]
    return [line for line in found if line.get("request_id") == name]


# The request's head without its id, and what is logged of it.
REQUESTS = {
    "of the application": (head(method="GET", path="/result/0?secret=1"), ("GET", "/result/0", 404)),
    "with a line break in its path": (head(method="GET", path="/a%0Ab%1b"), ("GET", "/a%0Ab%1B", 404)),
    "refused on its headers": (head("Content-Length: 999999999"), ("POST", "/upload", 413)),
    "refused for bad framing": (head("Transfer-Encoding: chunked", "Content-Length: 4"), ("POST", "/upload", 400)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_one_line(logging_service: Service, name: str) -> None:
    # When a request is answered, by the application or by the server itself
    request, expected = REQUESTS[name]
    request_id = f"r-{secrets.token_hex(4)}"
    answer = exchange(logging_service.port, request[:-2] + f"X-Request-ID: {request_id}\r\n\r\n".encode())
    # Then one line tells of it
    (line,) = eventually(lambda: logged(logging_service, request_id), what="a line")
    assert (line["method"], line["path"], line["status"]) == expected
    assert 0 <= line["seconds"] < 5
    # With the length of the body, where that is known before it is sent
    found, body = answer.split(b"\r\n\r\n", 1)
    assert line.get("bytes") == (len(body) if b"\r\nContent-Length: " in found else None)
    # And nothing of what stood in the query
    assert "secret" not in json.dumps(line)


def test_what_cannot_be_read_is_logged_too(logging_service: Service) -> None:
    for request, status in ((b"nonsense\r\n\r\n", 400), (head(f"X: {'x' * 40_000}"), 431)):
        answer = exchange(logging_service.port, request).decode().lower()
        name = answer.partition("x-request-id: ")[2].split()[0]
        (line,) = eventually(lambda name=name: logged(logging_service, name), what="a line")
        assert (line["method"], line["path"], line["status"]) == ("-", "-", status)


def test_by_default_no_request_is_logged(redis_server: RedisServer, tmp_path: Path) -> None:
    service = Service(redis_server.url, tmp_path, tmp_path)
    try:
        service.start_api()
        assert requests.get(f"{service.url}/health/live", headers={"X-Request-ID": "r-1"}, timeout=5).ok
        assert logged(service, "r-1") == []
    finally:
        service.stop()

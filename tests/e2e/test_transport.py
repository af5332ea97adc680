"""What every answer tells a browser, whoever gives it: the application, or the server before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.processes import RedisServer, Service
from tests.support.raw_http import exchange, head, statuses

PAGE = "https://page.example"
EXPECTED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def start(server: RedisServer, folder: Path, **settings: str) -> Service:
    service = Service(server.url, folder, folder, **settings)
    service.start_api()
    return service


@pytest.fixture(scope="module")
def plain(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = start(redis_server, tmp_path_factory.mktemp("plain"))
    yield service
    service.stop()


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API that lets a page of another origin in."""
    service = start(redis_server, tmp_path_factory.mktemp("shared"), CORS_ORIGINS=f"http://localhost:3000,{PAGE}")
    yield service
    service.stop()


def headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    names = [line.partition(": ")[0] for line in lines]
    assert len(set(names)) == len(names), lines
    return dict(line.split(": ", 1) for line in lines)


REQUESTS = {
    "an answer of the application": (head(method="GET", path="/health/live"), 200),
    "an answer without a body": (head(method="OPTIONS"), 200),
    "a path that is none": (head(method="GET", path="/nowhere"), 404),
    "a method that is none": (head(method="PUT"), 405),
    "a bad upload": (head("Content-Length: 1") + b"x", 415),
    "a body that is too large": (head("Content-Length: 999999999"), 413),
    "too many headers": (head(f"X: {'x' * 40_000}"), 431),
    "another coding": (head("Transfer-Encoding: gzip"), 501),
    "no HTTP at all": (b"hello\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_answer_has_the_headers(plain: Service, name: str) -> None:
    request, status = REQUESTS[name]
    answer = exchange(plain.port, request)
    assert statuses(answer) == [status]
    headers = headers_of(answer)
    assert {name: headers.get(name) for name in EXPECTED} == EXPECTED
    # And it does not tell what serves
    assert "Server" not in headers


def test_a_refusal_of_a_full_queue_has_them_and_lets_a_page_in(redis_server: RedisServer, tmp_path: Path) -> None:
    # Given a queue that takes nothing
    service = start(redis_server, tmp_path, CORS_ORIGINS=PAGE, MAX_STORED_BYTES="1")
    try:
        # When a page uploads, Then it can read that it must come back
        answer = service.upload(b"\x89PNG\r\n\x1a\n", headers={"Origin": PAGE, "Prefer": "respond-async"})
        early = exchange(service.port, head(f"Origin: {PAGE}", "Content-Length: 999999999"))
        for headers in [dict(answer.headers), headers_of(early)]:
            assert headers["Access-Control-Allow-Origin"] == PAGE
            assert EXPECTED.items() <= headers.items()
    finally:
        service.stop()


def test_by_default_no_other_origin_is_let_in(plain: Service) -> None:
    for answer in [
        requests.get(f"{plain.url}/health/live", headers={"Origin": PAGE}, timeout=5),
        requests.options(f"{plain.url}/upload", headers=preflight(PAGE), timeout=5),
    ]:
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,prefer",
    }


def test_an_origin_on_the_list_is_let_in_and_no_other(shared: Service) -> None:
    # When a page on the list asks first, as browsers do
    answer = requests.options(f"{shared.url}/upload", headers=preflight(PAGE), timeout=5)
    # Then it may send its upload
    assert answer.ok and answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    # And read the answer, errors too
    for path in ["/health/live", "/result/none"]:
        answer = requests.get(f"{shared.url}{path}", headers={"Origin": PAGE}, timeout=5)
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in answer.headers["Vary"]
    # And a page that is not on it gets nothing
    answer = requests.options(f"{shared.url}/upload", headers=preflight("https://evil.example"), timeout=5)
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]

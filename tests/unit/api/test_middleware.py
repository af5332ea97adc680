"""The application is safe behind any web server: its own answers have the headers of all answers."""

import pytest

from api.headers import SECURITY_HEADERS
from tests.unit.api.conftest import Bench, make_bench

PAGE = "https://page.example"
ASYNC = {"Prefer": "respond-async"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health/live", 200), ("GET", "/nothing", 404), ("OPTIONS", "/upload", 200), ("POST", "/upload", 400)],
)
def test_every_answer_has_the_security_headers(bench: Bench, method: str, path: str, status: int) -> None:
    answer = bench.http.open(path, method=method)
    assert (answer.status_code, dict(SECURITY_HEADERS).items() <= dict(answer.headers).items()) == (status, True)
    # And no page of another origin is let in
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control-")]


def test_a_page_on_the_list_may_ask_first_and_read_the_answer(png: bytes) -> None:
    bench = make_bench(cors_origins=PAGE)
    asked = bench.http.options("/upload", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    answer = bench.upload(png, headers={**ASYNC, "Origin": PAGE})
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    # And the answer depends on both
    assert answer.headers.getlist("Vary") == ["Prefer", "Origin"]

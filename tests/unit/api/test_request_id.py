"""`X-Request-ID`: taken or made, in answers, logs and jobs."""

import logging

import pytest

from shared.log import current_request_id
from tests.unit.api.conftest import Bench

ASYNC = {"Prefer": "respond-async"}


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef", "x" * 128])
def test_a_harmless_id_is_taken(bench: Bench, png: bytes, given: str) -> None:
    answer = bench.upload(png, headers={**ASYNC, "X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    assert bench.jobs.get(answer.json["id"]).request_id == given


@pytest.mark.parametrize("given", ["", "a b", "a,b", "x" * 129, "<script>", "${jndi:x}", "ä", "a\x1b[31m"])
def test_another_one_is_replaced(bench: Bench, given: str) -> None:
    first, second = (bench.http.get("/health/live", headers={"X-Request-ID": given}) for _ in range(2))
    assert given != first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert len(first.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("GET", "/upload"), ("POST", "/upload")])
def test_errors_have_it_too(bench: Bench, method: str, path: str) -> None:
    answer = bench.http.open(path, method=method, headers={"X-Request-ID": "r1"})
    assert (answer.status_code >= 400, answer.headers["X-Request-ID"]) == (True, "r1")


def test_what_is_logged_of_a_request_has_it(bench: Bench, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    # Given a Redis that is away
    seen = []
    caplog.handler.addFilter(lambda _: seen.append(current_request_id()) is None)
    bench.lose_redis()
    # When a request fails for it, Then the line that says so has its id
    with caplog.at_level(logging.WARNING):
        assert bench.upload(png, headers={"X-Request-ID": "r1"}).status_code == 503
    assert seen == ["r1"]

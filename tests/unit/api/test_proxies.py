"""Behind a proxy that removes a path prefix, every URL of the service begins with this prefix."""

import json
import re

import pytest

from tests.unit.api.conftest import Bench, make_bench

ASYNC = {"Prefer": "respond-async"}
CATS = {"X-Forwarded-Prefix": "/cats"}


@pytest.fixture
def proxied() -> Bench:
    return make_bench(trusted_proxies=1)


@pytest.mark.parametrize("given", ["/cats", "/cats/", "/of-the-client, /cats"])
def test_the_location_begins_with_the_prefix(proxied: Bench, png: bytes, given: str) -> None:
    answer = proxied.upload(png, headers={**ASYNC, "X-Forwarded-Prefix": given})
    assert answer.headers["Location"] == f"/cats/result/{answer.json['id']}"


@pytest.mark.parametrize(
    "given", ["", "cats", "//elsewhere.example", "https://elsewhere.example", '/a"b', "/a b", "/é"]
)
def test_an_invalid_prefix_is_ignored(proxied: Bench, png: bytes, given: str) -> None:
    answer = proxied.upload(png, headers={**ASYNC, "X-Forwarded-Prefix": given})
    assert answer.headers["Location"] == f"/result/{answer.json['id']}"


def test_without_trusted_proxies_the_prefix_is_ignored(bench: Bench, png: bytes) -> None:
    answer = bench.upload(png, headers={**ASYNC, **CATS})
    assert answer.headers["Location"] == f"/result/{answer.json['id']}"
    assert "/cats" not in bench.http.get("/", headers=CATS).text
    assert "servers" not in bench.http.get("/openapi.json", headers=CATS).json


def test_the_pages_links_begin_with_the_prefix(proxied: Bench) -> None:
    # When the page is requested behind a prefix (whose URL may lack the trailing slash)
    text = proxied.http.get("/", headers=CATS).text
    # Then its links are absolute paths with the prefix
    links = set(re.findall(r'(?:src|href)="([^"]+)"', text))
    assert links > {"/cats/docs", "/cats/page/icon.svg", "/cats/page/style.css", "/cats/page/main.js"}
    assert [link for link in links if not link.startswith("/cats/")] == []
    # And without a prefix its links are relative, for proxies that do not send one
    assert 'src="page/main.js"' in proxied.http.get("/").text


def test_the_contract_has_the_prefix_as_its_server(proxied: Bench) -> None:
    plain = proxied.http.get("/openapi.json").text
    found = proxied.http.get("/openapi.json", headers=CATS).json
    assert found.pop("servers") == [{"url": "/cats"}]
    assert found == json.loads(plain) and "servers" not in json.loads(plain)


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"])
def test_no_other_proxy_header_changes_an_answer(proxied: Bench, png: bytes, header: str) -> None:
    value = "host=elsewhere.example;proto=https" if header == "Forwarded" else "elsewhere.example"
    answer = proxied.upload(png, headers={**ASYNC, header: value})
    assert "elsewhere" not in str(answer.headers) + answer.text

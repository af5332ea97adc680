"""The files of the status page: a fixed list, cached by their content, nothing from elsewhere."""

import re

import pytest

from api.views.page import FOLDER as PAGE_FOLDER
from api.views.status import FOLDER
from tests.unit.api.conftest import Bench, make_bench

TEXTS = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
MOST_BYTES = 24_000


@pytest.fixture
def bench() -> Bench:
    return make_bench()


def test_every_file_that_the_page_names_is_there_and_none_is_elsewhere(bench: Bench) -> None:
    named = set(re.findall(r'(?:src|href)="{{root}}page/([^"]+)"', TEXTS["index.html"]))
    named |= {f"status/{name}" for text in TEXTS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    shared = {name for text in TEXTS.values() for name in re.findall(r'from "\.\./([^"]+)"', text)}
    assert {name.removeprefix("status/") for name in named if name.startswith("status/")} == {*TEXTS} - {"index.html"}
    assert shared <= {path.name for path in PAGE_FOLDER.iterdir()}
    assert {bench.http.get(f"/page/{name}").status_code for name in named | shared} == {200}
    elsewhere = r"(src|href|url|import|from)\W+(https?:)?//"
    assert [name for name, text in TEXTS.items() if re.search(elsewhere, text)] == []


@pytest.mark.parametrize("path", ["/status", "/page/status/main.js", "/page/status/status.css"])
def test_a_browser_that_has_a_file_is_not_sent_it_again(bench: Bench, path: str) -> None:
    first = bench.http.get(path)
    again = bench.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, first.headers["Cache-Control"], "{{" in first.text) == (200, "no-cache", False)
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "other.js", "..%2fapp.py", "../../app.py"])
def test_nothing_else_is_served(bench: Bench, name: str) -> None:
    assert bench.http.get(f"/page/status/{name}").status_code == 404


def test_the_pages_link_to_each_other(bench: Bench) -> None:
    for path in ("/", "/docs"):
        assert 'href="status"' in bench.http.get(path).text
    text = bench.http.get("/status").text
    assert 'href="./"' in text and 'href="docs"' in text


def test_below_a_path_all_links_begin_with_it() -> None:
    bench = make_bench(trusted_proxies=1)
    text = bench.http.get("/status", headers={"X-Forwarded-Prefix": "/cats"}).text
    assert all(link.startswith("/cats/") for link in re.findall(r'(?:href|src)="([^"]+)"', text))


def test_the_page_stays_small() -> None:
    assert sum(len(text.encode()) for text in TEXTS.values()) < MOST_BYTES

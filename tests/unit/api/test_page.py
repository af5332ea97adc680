"""The files of the web page: a fixed list, cached by their content, nothing from elsewhere."""

import re
from gzip import compress

import pytest

from api.views.page import FOLDER
from shared.images.formats import NAMES, SUFFIXES
from tests.support.repository import ROOT
from tests.unit.api.conftest import Bench

FILES = {path.name: path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
EXAMPLES = sorted(path.name for path in (FOLDER / "examples").iterdir())
MOST_EXAMPLE_BYTES = 150_000
MOST_OTHER_BYTES = 32_000


def test_the_page_is_served_with_the_limit_of_the_service(bench: Bench) -> None:
    answer = bench.http.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert 'data-max-image-bytes="50000"' in answer.text


def test_the_page_names_and_offers_every_format(bench: Bench) -> None:
    text = bench.http.get("/").text
    assert f"{NAMES}, up to" in text
    assert f'accept="image/*,{",".join(SUFFIXES)}"' in text
    assert "{{" not in text


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/style.css", "/page/icon.svg", "/page/clock.png"])
def test_a_browser_that_has_a_file_is_not_sent_it_again(bench: Bench, path: str) -> None:
    first = bench.http.get(path)
    again = bench.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
    assert (again.status_code, again.data) == (304, b"")


def test_head_answers_like_get_without_a_body(bench: Bench) -> None:
    answer = bench.http.head("/page/main.js")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("name", ["index.html", "other.js", "..%2fapp.py", "../views/page.py", "%2e%2e/app.py"])
def test_nothing_else_is_served(bench: Bench, name: str) -> None:
    assert bench.http.get(f"/page/{name}").status_code == 404


def test_every_file_that_the_page_names_is_there_and_none_is_elsewhere(bench: Bench) -> None:
    texts = {name: content.decode() for name, content in FILES.items() if name not in EXAMPLES}
    named = set(re.findall(r'(?:src|href)="{{root}}page/([^"]+)"', texts["index.html"]))
    named |= {name for text in texts.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named == {*FILES} - {"index.html"}
    assert [name for name, text in texts.items() if re.search(r"(src|href|url|import|from)\W+(https?:)?//", text)] == []
    assert {bench.http.get(f"/page/{name}").status_code for name in named} == {200}


def test_the_page_stays_small() -> None:
    # As it is sent.
    assert sum(len(compress(content)) for name, content in FILES.items() if name not in EXAMPLES) < MOST_OTHER_BYTES


def test_the_examples_are_small_pictures_of_our_own(bench: Bench) -> None:
    pictures = {name: bench.http.get(f"/page/{name}") for name in EXAMPLES}
    assert {answer.content_type for answer in pictures.values()} == {"image/png"}
    assert sum(len(answer.data) for answer in pictures.values()) < MOST_EXAMPLE_BYTES
    # `examples/draw.py` draws them.
    assert {name: answer.data for name, answer in pictures.items()} == {
        name: (ROOT / "examples" / name).read_bytes() for name in EXAMPLES
    }


def test_page_and_contract_link_to_each_other(bench: Bench) -> None:
    assert '<a href="docs">' in bench.http.get("/").text
    assert 'href="./"' in bench.http.get("/docs").text

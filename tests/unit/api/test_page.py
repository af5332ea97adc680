"""The files of the web page: a fixed list, cached by their content, nothing from elsewhere."""

import re

import pytest

from api.views.page import FOLDER
from shared.images.formats import NAMES, SUFFIXES
from tests.unit.api.conftest import Bench

FILES = sorted(path.name for path in FOLDER.iterdir())


def test_the_page_is_served_with_the_limit_of_the_service(bench: Bench) -> None:
    answer = bench.http.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert 'data-max-image-bytes="50000"' in answer.text


def test_the_page_names_and_offers_every_format(bench: Bench) -> None:
    text = bench.http.get("/").text
    assert f"paste one. {NAMES}, up to" in text
    assert f'accept="image/*,{",".join(SUFFIXES)}"' in text
    assert "{{" not in text


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/style.css", "/page/icon.svg"])
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
    texts = {name: (FOLDER / name).read_text("utf-8") for name in FILES}
    named = set(re.findall(r'(?:src|href)="{{root}}page/([^"]+)"', texts["index.html"]))
    named |= {name for text in texts.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named == {*FILES} - {"index.html"}
    assert [name for name, text in texts.items() if re.search(r"(src|href|url|import|from)\W+(https?:)?//", text)] == []
    assert {bench.http.get(f"/page/{name}").status_code for name in named} == {200}

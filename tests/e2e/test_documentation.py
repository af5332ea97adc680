"""Every command of the documentation that needs no Docker engine is run as it is written, and prints what is shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documentation import ROOT, blocks
from tests.support.hub_server import HubServer
from tests.support.page import Page
from tests.support.small_models import save_small_model

HANDLE = "/google/imagenet/inception_v3/classification/5"
PAGES = sorted({block.page for block in blocks() if block.runs_alone})
HEAD = re.compile(r"(HTTP/1\.1 \d+ [A-Z ]+)\r?\n(.*?)\r?\n\r?\n", re.DOTALL)


@pytest.fixture
def hub_url(tmp_path: Path) -> Iterator[str]:
    """What stands for TF-Hub, with the model that the pages name."""
    with HubServer() as server:
        yield server.add_model(HANDLE, save_small_model(tmp_path / "small", 1001)).removesuffix(HANDLE)


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_work(name: str, tmp_path: Path, model_dir: Path, hub_url: str) -> None:
    # Given somebody who has the service, When he follows a page
    page = Page(name, tmp_path, model_dir, hub_url)
    # Then every command works
    for ran in page.run():
        shown = page.shown_after(ran.block)
        # And prints what the page shows
        if shown and shown.language == "http":
            assert_same_answer(ran.output, shown.text)
        elif shown:
            assert shape(json.loads(ran.output)) == shape(json.loads(shown.text)), ran


def assert_same_answer(printed: str, shown: str) -> None:
    """Compare status, the headers that are shown, and the shape of the body."""
    found, wanted = HEAD.search(printed), HEAD.search(shown)
    assert found and wanted, printed
    assert found[1] == wanted[1]
    names = {line.partition(":")[0] for line in found[2].splitlines()}
    assert {line.partition(":")[0] for line in wanted[2].splitlines()} <= names
    assert shape(json.loads(printed[found.end() :])) == shape(json.loads(shown[wanted.end() :])), printed


def shape(value: Any) -> Any:
    """Return the names and types in a JSON value."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_what_is_left_to_ci_is_run_there() -> None:
    # Given the targets that the pages' shell passes over
    passed_over = re.search(r"^ +([a-z |]+)\) ;;", (ROOT / "tests/support/page.bash").read_text("utf-8"), re.MULTILINE)
    # Then they are what .ci/run has `make check` do
    assert passed_over and set(passed_over[1].split(" | ")) == {"check", "test"}
    assert "\nmake check\n" in (ROOT / ".ci/run").read_text("utf-8")
    assert re.search(r"^check:.* test\b", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

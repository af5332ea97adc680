"""The Python examples of the documentation run as they are written."""

import doctest
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client.batch_service import BatchService
from tests.client.conftest import RECORD, accepted, problem
from tests.support.documentation import blocks
from tests.support.repository import ROOT

PAGES = sorted({block.page for block in blocks() if block.language == "pycon"})
LABELS = [("traffic light", 0.69679), ("street sign", 0.05), ("pole", 0.01)]


def record(top: int) -> dict[str, Any]:
    found = {
        f"prediction_{place}": {"predicted_label": name, "confidence_level": confidence}
        for place, (name, confidence) in enumerate(LABELS[:top], 1)
    }
    times = {"accepted": "2026-11-27T19:00:58Z", "finished": "2026-11-27T19:00:59Z"}
    return RECORD | {"result": found, "times": times}


class TrafficLights:
    """A service for which every picture is one of a traffic light."""

    def __init__(self) -> None:
        self._top = 3
        self._batches = BatchService()
        self._batches.label_of = lambda _: LABELS[0][0]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/batches"):
            return self._batches(request)
        if request.url.path == "/health/ready":
            return httpx.Response(200, json={"workers": [], "jobs": {"open": 0, "running": 0, "failed": 0}})
        if request.url.path.endswith("/cancel"):
            return problem(409)
        if request.method == "POST":
            self._top = int(request.url.params["top"])
            return accepted()
        return httpx.Response(200, json=record(self._top))


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a service on this machine, and somebody in the repository's folder
    service = TrafficLights()
    monkeypatch.setattr(httpx, "HTTPTransport", lambda: httpx.MockTransport(service))
    monkeypatch.delenv("TOPTHREE_URL", raising=False)
    monkeypatch.chdir(ROOT)
    # When the examples of a page are run one after the other, Then they print what is shown
    names: dict[str, Any] = {}
    for block in blocks():
        if (block.page, block.language) == (page, "pycon"):
            example = doctest.DocTestParser().get_doctest(block.text, names, page, page, block.line)
            runner, told = doctest.DocTestRunner(), []
            runner.run(example, out=told.append, clear_globs=False)
            names = example.globs
            assert not runner.failures, "".join(told)


def test_the_package_is_described_without_links_that_lead_nowhere_elsewhere() -> None:
    # The package index shows this page, and has no other file of the repository.
    assert "](" not in Path(ROOT / "client" / "README.md").read_text("utf-8").replace("](https://", "")

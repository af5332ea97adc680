"""The web page and `/docs` behind a proxy that serves the service below a path."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Desk, Save, stub_service
from tests.support.subpath_proxy import subpath_proxy

OpenDesk = Callable[..., Desk]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a service below `/cats`."""
    with stub_service(tmp_path, TRUSTED_PROXIES="1") as service, subpath_proxy(service.port, "/cats") as address:
        yield address


@pytest.mark.parametrize("end", ["", "/"])
def test_the_page_works_below_a_path(open_desk: OpenDesk, address: str, save: Save, end: str) -> None:
    # Given the page below a path, with and without a trailing slash
    desk = open_desk(address + end)
    # Then its examples are there
    expect(desk.page.locator(".example img").first).not_to_have_js_property("naturalWidth", 0)
    # When a picture is chosen, Then it gets its labels
    desk.choose(save("picture.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    # And the link to its JSON is below the path
    link = desk.card("picture.png").get_by_role("link").get_attribute("href")
    assert link is not None and link.startswith(f"{address}/result/")
    # And it can be removed
    with desk.page.expect_response(f"{address}/result/*") as removed:
        desk.button("Remove", "picture.png").click()
    assert removed.value.status == 204


def test_a_request_can_be_tried_out_below_a_path(browser: Browser, address: str) -> None:
    # Given `/docs` below a path
    page = browser.new_page()
    page.goto(f"{address}/docs")
    # When a request is tried out
    page.get_by_text("/health/live", exact=True).click()
    with page.expect_response("**/health/live") as answer:
        page.get_by_role("button", name="TRY", exact=True).click()
    # Then it reaches the service
    assert (answer.value.url, answer.value.status) == (f"{address}/health/live", 200)
    page.close()

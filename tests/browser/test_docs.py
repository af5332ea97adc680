"""`/docs` in a browser: what it shows, what can be tried, and that the policy and axe find nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from shared.api_keys import digest_of
from tests.browser.conftest import NOTE_VIOLATIONS, SCREENSHOTS, Save, stub_service
from tests.support.processes import Service

KEY = "topthree_of-a-test"
# RapiDoc's own: an answer that can be scrolled with the mouse only.
KNOWN = {"scrollable-region-focusable"}


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that no script's error and no violation of the policy has spoilt in the end."""
    errors: list[str] = []
    page = browser.new_page(color_scheme=request.param)
    page.add_init_script(NOTE_VIOLATIONS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert (errors, page.evaluate("window.violations")) == ([], [])
    page.close()


def test_a_file_can_be_uploaded_and_axe_finds_nothing(page: Page, service: Service, save: Save) -> None:
    # Given the page, with the upload open
    page.goto(f"{service.url}/docs")
    page.get_by_text("/upload", exact=True).click()
    # When a file is chosen and sent
    page.get_by_label("image", exact=True).set_input_files(save("picture.png"))
    with page.expect_response("**/upload") as answer:
        page.get_by_role("button", name="TRY", exact=True).click()
    # Then its labels are shown
    assert answer.value.status == 200
    expect(page.get_by_text("Response Status: OK:200")).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "docs.png", full_page=True)
    found = {violation["id"]: violation["nodes"] for violation in Axe().run(page).response["violations"]}
    assert found.keys() <= KNOWN, found


def test_on_a_phone_nothing_is_cut_off(page: Page, service: Service) -> None:
    # Given a phone, and the upload open
    page.set_viewport_size({"width": 375, "height": 667})
    page.goto(f"{service.url}/docs")
    page.get_by_text("/upload", exact=True).click()
    expect(page.get_by_role("button", name="TRY", exact=True)).to_be_visible()
    # Then the form is not wider than its frame
    parts = ("section-request-panel", "section-endpoint-body-expanded")
    panel, frame = (page.locator(f"[part={part}]").bounding_box() for part in parts)
    assert panel and frame and panel["x"] + panel["width"] <= frame["x"] + frame["width"]
    page.screenshot(path=SCREENSHOTS / "docs on a phone.png", full_page=True)


def test_several_files_can_be_added_to_a_batch(page: Page, service: Service, save: Save) -> None:
    opened = page.request.post(f"{service.url}/batches").json()
    page.goto(f"{service.url}/docs")
    page.get_by_text("/batches/{batch_id}/images", exact=True).click()
    page.get_by_label("batch_id", exact=True).fill(opened["id"])
    images = page.get_by_label("image", exact=True)
    images.set_input_files(save("one.png", side=8))
    page.get_by_role("button", name="ADD", exact=True).click()
    images.nth(1).set_input_files(save("two.png", side=9))
    with page.expect_response("**/images") as answer:
        page.get_by_role("button", name="TRY", exact=True).click()
    assert [image["name"] for image in answer.value.json()["images"]] == ["one.png", "two.png"]


def test_it_begins_with_the_upload_and_deletions_come_last(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    methods = page.locator("summary .method")
    expect(page.locator("summary .path").first).to_have_text("/upload")
    expect(methods.nth(4)).to_have_text("delete")
    assert methods.all_inner_texts()[:4] == ["POST", "GET", "POST", "POST"]


def test_keys_are_asked_for_only_if_they_are_required(page: Page, service: Service, tmp_path: Path) -> None:
    # Given a service without keys
    page.goto(f"{service.url}/docs")
    page.get_by_text("/upload", exact=True).click()
    # Then nothing is said about them
    expect(page.get_by_text("Not Required")).to_be_visible()
    expect(page.get_by_text("HTTP Bearer")).to_have_count(0)
    with stub_service(tmp_path, API_KEYS=f"alice:{digest_of(KEY)}") as closed:
        # Given one with keys
        page.goto(f"{closed.url}/docs")
        expect(page.get_by_text("AUTHENTICATION", exact=True)).to_be_visible()
        # When a key is given, Then requests are sent with it
        page.get_by_placeholder("api-token").first.fill(KEY)
        page.get_by_role("button", name="SET").first.click()
        page.get_by_text("/metrics", exact=True).click()
        with page.expect_response("**/metrics") as answer:
            page.get_by_role("button", name="TRY", exact=True).click()
        assert answer.value.status == 200

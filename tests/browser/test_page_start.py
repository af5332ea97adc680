"""The first minute on the page: what it says about the service, the examples, the way to the contract and back."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Desk, Save, stub_service
from tests.support.processes import Service
from tests.support.stub_worker import digest_of

OpenDesk = Callable[..., Desk]


def test_an_example_is_classified_like_a_file(open_desk: OpenDesk, service: Service) -> None:
    # Given a page without pictures
    desk = open_desk(service.url)
    # When an example is pressed with the keyboard
    example = desk.page.get_by_role("button", name="Umbrella", exact=True)
    example.press("Enter")
    # Then it gets its labels, as a file would
    expect(desk.card("umbrella.png").locator(".labels li").first).to_contain_text("umbrella")
    # And the examples make room, without losing the focus
    expect(example).to_be_hidden()
    expect(desk.page.get_by_role("heading", name="Pictures", exact=True)).to_be_focused()
    # And they are there again when the page is empty
    desk.button("Remove", "umbrella.png").click()
    expect(example).to_be_visible()


def test_the_shown_command_classifies_a_picture(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path
) -> None:
    # Given the command on the empty page, copied
    desk = open_desk(stubbed.url)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.page.get_by_role("button", name="Copy the command").click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    command = desk.page.evaluate("navigator.clipboard.readText()")
    assert command == desk.page.locator("#command").inner_text()
    # When a shell runs it, Then it gets the labels
    picture = save("picture.jpg")
    done = subprocess.run(["bash", "-c", f"{command} -s"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert digest_of(picture.read_bytes()) in done.stdout


def test_every_example_gets_its_labels(open_desk: OpenDesk, service: Service) -> None:
    for name in ("Traffic light", "Clock", "Umbrella", "Candle", "Balloon"):
        desk = open_desk(service.url)
        desk.page.get_by_role("button", name=name, exact=True).click()
        expect(desk.page.locator(".labels li")).to_have_count(3)


def test_an_example_that_cannot_be_loaded_says_so(open_desk: OpenDesk, stubbed: Service) -> None:
    desk = open_desk(stubbed.url)
    # Given a service that has gone since the page was loaded
    assert stubbed.api is not None
    stubbed.api.stop()
    desk.page.get_by_role("button", name="Clock").click()
    expect(desk.page.get_by_role("alert").first).to_contain_text("The example cannot be loaded")


def test_the_header_names_the_model_and_leads_to_the_contract_and_back(open_desk: OpenDesk, stubbed: Service) -> None:
    desk = open_desk(stubbed.url)
    expect(desk.page.get_by_role("banner")).to_contain_text(
        re.compile("topthree.*Model: stub, which knows 2 things", re.DOTALL)
    )
    desk.page.get_by_role("link", name="API docs").click()
    expect(desk.page.get_by_text("/upload", exact=True)).to_be_visible()
    desk.page.get_by_role("link", name="Classify pictures").click()
    expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_visible()


def test_the_page_says_that_no_worker_is_running(open_desk: OpenDesk, tmp_path: Path) -> None:
    with stub_service(tmp_path) as service:
        desk = open_desk(service.url)
        notice = desk.page.locator("#notice")
        expect(desk.page.locator("#model")).to_have_text("Model: stub, which knows 2 things")
        expect(notice).to_be_empty()
        # When the only worker stops, Then the page says so, without any picture
        assert service.workers[0].stop() == 0
        expect(notice).to_contain_text("No worker is running.")
        desk.screenshot("no worker, no picture")
        # And when one starts, it no longer does
        service.start_worker("tests.support.stub_worker", STUB_EXECUTIONS=str(tmp_path / "executions"))
        expect(notice).to_be_empty()

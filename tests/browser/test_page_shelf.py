"""Many pictures on the page: progress, folders, the filter, and clearing with a way back."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SCREENSHOTS, Desk, Save
from tests.support.processes import Service
from tests.support.stub_worker import make_picture
from tests.support.wait import eventually

OpenDesk = Callable[..., Desk]
MANY = 150


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.png"
    file.write_bytes(b"no picture")
    return file


def test_the_tab_and_a_bar_tell_how_much_is_left(open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path) -> None:
    # Given an earlier picture, and three of which two wait
    desk = open_desk(stubbed.url)
    desk.choose(save("earlier.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    expect(desk.page).to_have_title("topthree: what is in the picture?")
    desk.choose(save("quick.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    desk.choose(*(save(name, f"until={gate}") for name in ("one.png", "two.png", "three.png")))
    # Then the title counts those in progress, and the bar leaves out what was done before
    expect(desk.page).to_have_title("(3) topthree: what is in the picture?")
    bar = desk.page.get_by_role("progressbar", name="Progress of all pictures")
    expect(bar).to_have_js_property("max", 3)
    desk.button("Cancel", "three.png").click()
    expect(desk.page).to_have_title("(2) topthree: what is in the picture?")
    expect(bar).to_have_js_property("value", 1)
    desk.screenshot("overall progress")
    # And when all have ended, both are gone
    gate.touch()
    expect(desk.cards("succeeded")).to_have_count(4)
    expect(desk.page).to_have_title("topthree: what is in the picture?")
    expect(bar).to_be_hidden()


def test_clearing_can_be_undone(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    deleted: list[str] = []
    desk.page.on("request", lambda request: deleted.append(request.url) if request.method == "DELETE" else None)
    names = ["one.png", "two.png", "three.png"]
    desk.choose(*(save(name) for name in names))
    expect(desk.cards("succeeded")).to_have_count(3)
    # When finished pictures are cleared, Then the page is empty, and the way back has the focus
    desk.page.get_by_role("button", name="Clear finished").click()
    expect(desk.page.locator(".card:visible")).to_have_count(0)
    expect(desk.page.get_by_text("3 pictures removed.")).to_be_visible()
    undo = desk.page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    desk.screenshot("cleared")
    # When that is undone, Then they are back in their order, and after a reload too
    undo.press("Enter")
    expect(desk.page.locator(".card:visible .name")).to_have_text(names)
    expect(undo).to_be_hidden()
    desk.open()
    expect(desk.page.locator(".card:visible .name")).to_have_text(names)
    expect(desk.cards("succeeded")).to_have_count(3)
    assert deleted == []


def test_what_is_cleared_is_deleted_when_the_offer_ends(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    desk.page.clock.install()
    desk.open()
    desk.choose(save("one.png"), save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    ids = [entry["id"] for entry in desk.remembered()]
    desk.page.get_by_role("button", name="Clear finished").click()
    assert desk.remembered() == []
    # While the button has the focus, the offer stays
    undo = desk.page.get_by_role("button", name="Undo")
    desk.page.clock.fast_forward("05:00")
    expect(undo).to_be_visible()
    assert [stubbed.result(each).status_code for each in ids] == [200, 200]
    # When it has lost the focus for a while, Then the offer is gone, and so are the results
    undo.blur()
    desk.page.clock.fast_forward("00:30")
    expect(undo).to_be_hidden()
    eventually(lambda: [stubbed.result(each).status_code for each in ids] == [410, 410], what="deleted results")


def test_what_is_cleared_is_deleted_when_the_page_is_closed(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    desk.choose(save("one.png"), save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    ids = [entry["id"] for entry in desk.remembered()]
    desk.page.get_by_role("button", name="Clear finished").click()
    # When the page is left before the offer ends
    desk.open()
    # Then the results are deleted all the same
    eventually(lambda: [stubbed.result(each).status_code for each in ids] == [410, 410], what="deleted results")


def test_a_dropped_folder_gives_its_pictures(open_desk: OpenDesk, stubbed: Service, tmp_path: Path) -> None:
    # Given a folder with pictures, one in a folder of its own, and other files
    desk = open_desk(stubbed.url)
    inner = tmp_path / "holiday" / "beach"
    inner.mkdir(parents=True)
    for file in (inner.parent / "2.png", inner.parent / "10.png", inner / "sand.png"):
        file.write_bytes(make_picture())
    # More than a browser lists at once.
    for number in range(MANY):
        (inner / f"note {number}.txt").write_text("no picture")
    (inner / ".hidden.png").write_bytes(b"what systems keep in folders")
    # When it is dropped
    desk.drop(inner.parent)
    # Then its pictures are classified, in the order of their names, and it is said that others were skipped
    expect(desk.cards("succeeded")).to_have_count(3)
    expect(desk.page.locator(".card .name")).to_have_text(["2.png", "10.png", "sand.png"])
    expect(desk.page.get_by_role("alert").first).to_have_text(f"{MANY + 1} files that are not pictures were skipped.")


def test_a_folder_without_pictures_is_told(open_desk: OpenDesk, stubbed: Service, tmp_path: Path) -> None:
    desk = open_desk(stubbed.url)
    (tmp_path / "empty").mkdir()
    desk.drop(tmp_path / "empty")
    expect(desk.page.get_by_role("alert").first).to_have_text("No picture file found.")


def test_the_first_pictures_are_brought_into_view(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a small phone
    phone = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}
    desk = open_desk(stubbed.url, **phone)
    # When the first pictures are added, Then they are seen, and the focus stays
    desk.choose(save("one.png"), save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.card("one.png").locator(".labels")).to_be_in_viewport()
    expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_focused()
    desk.page.screenshot(path=SCREENSHOTS / "first pictures on a phone.png")
    # When more are added, Then the page stays where it is
    desk.page.evaluate("scrollTo(0, 0)")
    desk.choose(save("three.png"))
    expect(desk.cards("succeeded")).to_have_count(3)
    assert desk.page.evaluate("scrollY") == 0


def test_only_failed_pictures_can_be_shown(open_desk: OpenDesk, stubbed: Service, save: Save, broken: Path) -> None:
    desk = open_desk(stubbed.url)
    desk.choose(save("one.png"), broken, save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    only_failed = desk.page.get_by_role("button", name="Only failed")
    # When only failed ones are wanted, Then the others are hidden
    only_failed.click()
    expect(only_failed).to_have_attribute("aria-pressed", "true")
    expect(desk.page.locator(".card:visible .name")).to_have_text(["broken.png"])
    desk.screenshot("only failed")
    # When the last of them is removed, Then the others are shown again, and the focus is not lost
    desk.button("Remove", "broken.png").click()
    expect(desk.page.locator(".card:visible .name")).to_have_text(["one.png", "two.png"])
    expect(only_failed).to_be_hidden()
    expect(desk.page.locator(":focus")).to_have_text(re.compile(".+"))


def test_a_place_to_drop_is_seen_wherever_the_page_is_scrolled_to(
    open_desk: OpenDesk, stubbed: Service, save: Save
) -> None:
    # Given a page that is scrolled down
    desk = open_desk(stubbed.url, viewport={"width": 600, "height": 400})
    desk.choose(*(save(f"{number}.png") for number in range(6)))
    expect(desk.cards("succeeded")).to_have_count(6)
    desk.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert desk.page.evaluate("scrollY") > 0
    # When files are dragged over it, Then the whole window says where to drop them
    session = desk.page.context.new_cdp_session(desk.page)
    data = {"items": [], "files": [str(save("dragged.png"))], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 200, "data": data})
    expect(desk.page.locator("body.dropping")).to_have_count(1)
    size = desk.page.evaluate("getComputedStyle(document.body, '::after').height")
    assert float(size.removesuffix("px")) > 350
    # And when they are dropped, they are classified
    session.send("Input.dispatchDragEvent", {"type": "drop", "x": 300, "y": 200, "data": data})
    expect(desk.cards("succeeded")).to_have_count(7)

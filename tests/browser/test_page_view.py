"""How results are looked at: number of labels, order, enlarged pictures, and failures that stay after a reload."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Desk, Save
from tests.support.processes import Service

OpenDesk = Callable[..., Desk]


def test_as_many_labels_are_shown_as_a_person_wants(open_desk: OpenDesk, service: Service, save: Save) -> None:
    # Given a classified picture
    desk = open_desk(service.url)
    uploads: list[str] = []
    desk.page.on("request", lambda request: uploads.append(request.url) if request.method == "POST" else None)
    desk.choose(save("one.png", side=64))
    labels = desk.page.locator(".labels li")
    expect(labels).to_have_count(3)
    # When more are wanted, or fewer, Then they are there at once, without another upload
    for number in (10, 1, 5):
        desk.page.get_by_label("Labels").select_option(str(number))
        expect(labels).to_have_count(number)
    assert len(uploads) == 1
    # And the choice is remembered, and holds for what is copied
    desk.open()
    expect(labels).to_have_count(5)
    expect(desk.page.get_by_label("Labels")).to_have_value("5")
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.button("Copy a curl command for", "one.png").click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    assert desk.page.evaluate("navigator.clipboard.readText()").endswith("/upload?top=5'")


@pytest.mark.parametrize("kept", ["no JSON", '{"top": "7 or more", "order": null, "other": 1}', "null"])
def test_a_damaged_choice_is_left_alone(open_desk: OpenDesk, stubbed: Service, save: Save, kept: str) -> None:
    desk = open_desk(stubbed.url)
    desk.page.evaluate("(kept) => localStorage.setItem('topthree-view', kept)", kept)
    desk.open()
    desk.choose(save("one.png"))
    expect(desk.page.locator(".labels li")).to_have_count(3)


def test_pictures_are_sorted(open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path) -> None:
    # Given single pictures and a group, with known confidences
    desk = open_desk(stubbed.url)
    levels = {"10.png": 0.9, "b.png": 0.5, "2.png": 0.2, "a.png": 0.7, "c.png": 0.95}

    def answer(route: Route) -> None:
        body = route.fetch().json()
        if body["status"] == "succeeded":
            name = next(entry["name"] for entry in desk.remembered() if entry["id"] == body["id"])
            body["result"]["prediction_1"]["confidence_level"] = levels[name]
        route.fulfill(json=body, status=200 if body["status"] == "succeeded" else 202)

    desk.page.route("**/result/*", answer)
    for count, names in enumerate([("b.png",), ("10.png", "2.png", "c.png"), ("a.png",)]):
        desk.choose(*(save(name) for name in names))
        expect(desk.cards("succeeded")).to_have_count((1, 4, 5)[count])
    broken = tmp_path / "0.png"
    broken.write_bytes(b"no picture")
    desk.choose(broken)
    names = desk.page.locator(".card .name")
    newest = ["0.png", "a.png", "10.png", "2.png", "c.png", "b.png"]
    expect(names).to_have_text(newest)
    # When they are sorted, Then a group stays together, where its first picture stands
    order = desk.page.get_by_label("Sort by")
    order.focus()
    order.select_option("Confidence")
    expect(names).to_have_text(["c.png", "10.png", "2.png", "a.png", "b.png", "0.png"])
    expect(order).to_be_focused()
    order.select_option("Name")
    by_name = ["0.png", "2.png", "10.png", "c.png", "a.png", "b.png"]
    expect(names).to_have_text(by_name)
    # And the order holds after a reload, and for what is added then
    desk.open()
    expect(desk.cards("succeeded")).to_have_count(5)
    expect(names).to_have_text(by_name)
    levels["bb.png"] = 0.1
    desk.choose(save("bb.png"))
    expect(names).to_have_text([*by_name, "bb.png"])
    order.select_option("Newest")
    expect(names).to_have_text(["bb.png", *newest])
    # The service is still needed for its result.
    expect(desk.cards("succeeded")).to_have_count(6)


def test_a_picture_that_moves_keeps_the_focus(open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path) -> None:
    # Given pictures sorted by confidence, of which one waits, and the focus on that one
    desk = open_desk(stubbed.url)
    desk.choose(save("slow.png", f"until={gate}"))
    expect(desk.cards("running")).to_have_count(1)
    desk.choose(save("fast.png"))
    desk.page.get_by_label("Sort by").select_option("Confidence")
    button = desk.card("slow.png").locator(".end")
    button.focus()
    # When it is done and moves, Then the focus moves with it
    gate.touch()
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(button).to_be_focused()


def test_a_picture_is_enlarged_and_the_focus_returns(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    desk.choose(save("small.png", side=8), save("large.png", side=500))
    expect(desk.cards("succeeded")).to_have_count(2)
    # When a preview is pressed, Then the picture is shown in full, with its name and its first label
    preview = desk.button("Enlarge", "large.png")
    preview.press("Enter")
    dialog = desk.page.get_by_role("dialog", name="large.png")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("img")).to_have_js_property("naturalWidth", 500)
    expect(dialog).to_contain_text("100.0%")
    desk.screenshot("enlarged")
    # When Escape is pressed, Then it is gone, and the focus is where it was
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(preview).to_be_focused()
    # And so it is after the button, and after a click beside the picture
    for close in (
        lambda: dialog.get_by_role("button", name="Close").click(),
        lambda: desk.page.mouse.click(5, 5),
    ):
        preview.press("Enter")
        expect(dialog).to_be_visible()
        close()
        expect(dialog).to_be_hidden()
        expect(preview).to_be_focused()
    # After a reload the browser has only the preview, and says so
    desk.open()
    expect(desk.cards("succeeded")).to_have_count(2)
    desk.button("Enlarge", "large.png").click()
    expect(dialog.get_by_role("img")).to_have_js_property("naturalWidth", 176)
    expect(dialog).to_contain_text("Only this small preview is kept")


def test_refused_files_stay_after_a_reload_with_their_reasons(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path
) -> None:
    # Given files that the service or the page has refused
    desk = open_desk(stubbed.url)
    note, large = tmp_path / "note.txt", tmp_path / "large.png"
    note.write_text("no picture")
    large.write_bytes(bytes(21 * 1024 * 1024))
    desk.choose(note, large)
    expect(desk.cards("failed")).to_have_count(2)
    # When the page is loaded again, and again
    for _ in range(2):
        desk.open()
        # Then they are still there, with their reasons
        expect(desk.cards("failed")).to_have_count(2)
        expect(desk.card("note.txt")).to_contain_text("This is not a picture in an accepted format.")
        expect(desk.card("large.png")).to_contain_text("This file is 21 MB; the limit is 20 MB.")
        # And nothing pretends that they can be sent again
        expect(desk.page.get_by_role("button", name=re.compile("^Try again"))).to_have_count(0)
    # When one is removed, Then it is gone for good
    desk.button("Remove", "note.txt").click()
    desk.open()
    expect(desk.page.locator(".card .name")).to_have_text(["large.png"])

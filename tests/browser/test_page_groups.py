"""Pictures that are added together: one group with a heading, progress and actions, also after a reload."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Desk, Save, stub_service
from tests.support.processes import Service
from tests.support.stub_worker import digest_of, make_picture
from tests.support.wait import eventually

OpenDesk = Callable[..., Desk]


def group(desk: Desk, name: str) -> Locator:
    """The group whose heading begins with `name`."""
    return desk.page.get_by_role("region", name=re.compile(f"^{name}"))


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Service]:
    """A service that goes on with other pictures while two are held up."""
    with stub_service(tmp_path, WORKERS="3") as service:
        yield service


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.png"
    file.write_bytes(b"no picture")
    return file


def test_pictures_that_are_chosen_together_form_a_group(
    open_desk: OpenDesk, wide: Service, save: Save, broken: Path, gate: Path
) -> None:
    desk = open_desk(wide.url)
    # Given a picture that was chosen alone
    desk.choose(save("alone.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    expect(desk.page.locator(".group")).to_have_count(0)
    # When three are chosen together, one of them broken
    desk.choose(save("one.png"), broken, save("slow.png", f"until={gate}"))
    # Then they form a group, with a heading, the time, and how far they are
    three = group(desk, "3 pictures")
    expect(three.get_by_role("heading", level=3)).to_have_text(re.compile(r"^\s*3 pictures \d+:\d\d"))
    expect(three.locator(".card .name")).to_have_text(["one.png", "broken.png", "slow.png"])
    expect(three).to_contain_text("1 done, 1 in progress, 1 failed")
    bar = three.get_by_role("progressbar", name="Progress of 3 pictures")
    expect(bar).to_have_js_property("value", 2)
    expect(three.get_by_role("heading", level=4)).to_have_count(3)
    assert desk.violations() == []
    desk.screenshot("group in progress")
    # And the group is above the older picture
    expect(desk.page.locator(".card .name").last).to_have_text("alone.png")
    # When all have ended, Then the bar is gone
    gate.touch()
    expect(three).to_contain_text("2 done, 1 failed")
    expect(bar).to_be_hidden()


def test_a_folder_gives_its_name_to_the_group(open_desk: OpenDesk, stubbed: Service, tmp_path: Path) -> None:
    desk = open_desk(stubbed.url)
    folder = tmp_path / "holiday <i> 2026"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(make_picture())
    # When a folder is dropped, Then its name, as text, is in the heading
    desk.drop(folder)
    expect(desk.page.locator(".group").get_by_role("heading", level=3)).to_contain_text("holiday <i> 2026: 2 pictures")
    expect(desk.cards("succeeded")).to_have_count(2)
    # When one of two is removed, Then the heading counts what is left
    desk.button("Remove", "1.png").click()
    expect(desk.page.locator(".group-name")).to_have_text("holiday <i> 2026: 1 of 2 pictures")
    # And when the last one is removed, the group is gone
    desk.button("Remove", "2.png").click()
    expect(desk.page.locator(".group")).to_have_count(0)
    expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_focused()


def test_groups_survive_a_reload(open_desk: OpenDesk, wide: Service, save: Save, tmp_path: Path, gate: Path) -> None:
    # Given two groups, one of them a folder, and a single picture between them
    desk = open_desk(wide.url)
    folder = tmp_path / "holiday"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(make_picture())
    desk.drop(folder)
    expect(desk.cards("succeeded")).to_have_count(2)
    desk.choose(save("alone.png"))
    expect(desk.cards("succeeded")).to_have_count(3)
    desk.choose(save("a.png"), save("b.png"), save("slow.png", f"until={gate}"))
    expect(desk.cards("succeeded")).to_have_count(5)
    expect(desk.cards("running")).to_have_count(1)
    # When the page is loaded again
    desk.open()
    # Then they are as before
    expect(desk.cards("succeeded")).to_have_count(5)
    expect(desk.page.locator(".card .name")).to_have_text(["a.png", "b.png", "slow.png", "alone.png", "1.png", "2.png"])
    expect(group(desk, "3 pictures").locator(".card")).to_have_count(3)
    expect(group(desk, "holiday: 2 pictures").locator(".card")).to_have_count(2)
    # And what was running is followed to its end
    expect(group(desk, "3 pictures")).to_contain_text("2 done, 1 in progress")
    gate.touch()
    expect(group(desk, "3 pictures")).to_contain_text("3 done")


def test_a_group_that_is_too_large_to_be_remembered_says_so(open_desk: OpenDesk, wide: Service, save: Save) -> None:
    # Given more pictures in a group than a browser remembers
    desk = open_desk(wide.url)
    desk.choose(*(save(f"{number:02}.png") for number in range(52)))
    expect(group(desk, "52 pictures")).to_contain_text("52 done")
    # When the page is loaded again, Then the heading says how many there were
    desk.open()
    expect(group(desk, "50 of 52 pictures")).to_contain_text("50 done")


def test_a_group_is_folded_with_the_keyboard(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    desk.choose(save("one.png"), save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    heading = desk.page.get_by_role("button", name=re.compile("^2 pictures"))
    expect(heading).to_have_attribute("aria-expanded", "true")
    # When the heading is pressed, Then only it is left
    heading.press("Enter")
    expect(heading).to_have_attribute("aria-expanded", "false")
    expect(desk.page.locator(".card:visible")).to_have_count(0)
    expect(group(desk, "2 pictures")).to_contain_text("2 done")
    # When it is pressed again, Then the pictures are back
    heading.press("Enter")
    expect(desk.page.locator(".card:visible")).to_have_count(2)
    expect(heading).to_be_focused()


def test_a_whole_group_is_canceled_and_then_removed(open_desk: OpenDesk, wide: Service, save: Save, gate: Path) -> None:
    # Given a group of which one picture is done, and a picture of its own
    desk = open_desk(wide.url)
    desk.choose(save("alone.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    desk.choose(save("done.png"), save("slow.png", f"until={gate}"), save("later.png", f"until={gate}"))
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.page.locator(".card[data-state=queued], .card[data-state=running]")).to_have_count(2)
    ids = {entry["name"]: entry["id"] for entry in desk.remembered()}
    # When it is canceled, Then what was not done is canceled, by the service too
    desk.button("Cancel all,", "3 pictures").press("Enter")
    expect(group(desk, "3 pictures")).to_contain_text("1 done, 2 canceled")
    eventually(
        lambda: {wide.result(ids[name]).json()["status"] for name in ("slow.png", "later.png")} == {"canceled"},
        what="canceled jobs",
    )
    # When the same button is pressed again, Then the whole group is gone, and there is a way back
    expect(desk.button("Remove all,", "3 pictures")).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator(".card:visible .name")).to_have_text(["alone.png"])
    expect(desk.page.locator(".group:visible")).to_have_count(0)
    expect(desk.page.get_by_text("3 pictures removed.")).to_be_visible()
    desk.page.get_by_role("button", name="Undo").press("Enter")
    expect(group(desk, "3 pictures").locator(".card:visible")).to_have_count(3)
    # When it is removed for good, Then the service has forgotten the result
    desk.button("Remove all,", "3 pictures").click()
    desk.open()
    eventually(lambda: wide.result(ids["done.png"]).status_code == 410, what="a deleted result")
    expect(desk.page.locator(".card .name")).to_have_text(["alone.png"])


def test_the_results_of_one_group_are_taken(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path, broken: Path
) -> None:
    # Given a folder with a broken picture, and another picture
    desk = open_desk(stubbed.url)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.choose(save("alone.png"))
    folder = tmp_path / "holiday"
    folder.mkdir()
    fine = folder / "fine.png"
    fine.write_bytes(make_picture())
    broken.rename(folder / broken.name)
    desk.drop(folder)
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.cards("failed")).to_have_count(1)
    # When its results are downloaded, Then the file has the name of the folder, and only its pictures
    with desk.page.expect_download() as download:
        desk.button("Download CSV,", "holiday: 2 pictures").click()
    assert download.value.suggested_filename == "holiday.csv"
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8"), newline="")))
    assert [row[0] for row in rows] == ["file", "broken.png", "fine.png"]
    with desk.page.expect_download() as download:
        desk.button("Download JSON,", "holiday: 2 pictures").click()
    records = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert [each["file"] for each in records] == ["broken.png", "fine.png"]
    assert records[1]["result"]["prediction_1"]["predicted_label"] == digest_of(fine.read_bytes())
    # And when they are copied, the clipboard has the same
    desk.button("Copy JSON,", "holiday: 2 pictures").click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    assert json.loads(desk.page.evaluate("navigator.clipboard.readText()")) == records


def test_only_groups_with_failed_pictures_are_left_when_those_are_wanted(
    open_desk: OpenDesk, stubbed: Service, save: Save, broken: Path
) -> None:
    desk = open_desk(stubbed.url)
    desk.choose(save("a.png"), save("b.png"))
    desk.choose(save("c.png"), save("d.png"), broken)
    expect(desk.cards("succeeded")).to_have_count(4)
    desk.page.get_by_role("button", name="Only failed").click()
    expect(desk.page.locator(".card:visible .name")).to_have_text(["broken.png"])
    expect(desk.page.locator(".group:visible")).to_have_count(1)

"""What a person takes from the page: JSON and curl commands on the clipboard, all results as a file."""

import csv
import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Desk, Save
from tests.support.processes import Service
from tests.support.stub_worker import digest_of

OpenDesk = Callable[..., Desk]
MOST_LABELS = 10
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"


def pasted(desk: Desk) -> str:
    """What Ctrl-V gives somewhere else."""
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text: str = desk.page.evaluate("navigator.clipboard.readText()")
    return text


def downloaded(desk: Desk, button: str) -> str:
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path()).read_bytes().decode("utf-8")


def test_the_json_of_a_picture_can_be_copied(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    file = save("one.png")
    desk.choose(file)
    expect(desk.cards("succeeded")).to_have_count(1)
    # When its JSON is copied, Then that is said and spoken
    desk.button("Copy the JSON of", "one.png").click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    # And the clipboard has the record, with the labels that are shown
    record = json.loads(pasted(desk))
    whole = stubbed.result(record["id"]).json()
    assert record == {**whole, "result": dict(list(whole["result"].items())[:3])}
    assert len(whole["result"]) == MOST_LABELS
    assert record["result"]["prediction_1"]["predicted_label"] == digest_of(file.read_bytes())


def test_only_the_outcome_is_seen_on_the_button_that_was_pressed(
    open_desk: OpenDesk, stubbed: Service, save: Save
) -> None:
    # Given the buttons of a card, of a group, and of the empty page, with time that passes only when the test says so
    desk = open_desk(stubbed.url)
    desk.page.clock.install()
    desk.open()
    desk.page.clock.pause_at(desk.page.evaluate("Date.now()") + 1000)
    command = desk.page.get_by_role("button", name="Copy the command")
    command.click()
    # When they are pressed, Then the outcome replaces their own words
    expect(command).to_have_attribute("data-told", re.compile("opied"))
    expect(command).to_have_css("font-size", "0px")
    desk.choose(save("one.png"), save("two.png"))
    expect(desk.cards("succeeded")).to_have_count(2)
    for button in (desk.button("Copy the JSON of", "one.png"), desk.button("Copy JSON,", "2 pictures")):
        button.click()
        expect(button).to_have_attribute("data-told", re.compile("opied"))
        expect(button).to_have_css("font-size", "0px")


@pytest.mark.parametrize("name", ["one.png", 'it\'s a "cat", a; b $HOME.png'])
def test_the_copied_curl_command_classifies_the_same_picture(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path, name: str
) -> None:
    # Given a classified picture, and a browser without the newer clipboard, which needs TLS
    desk = open_desk(stubbed.url)
    desk.page.add_init_script(f"if (!window.name) {NO_CLIPBOARD}")
    desk.open()
    file = save(name)
    desk.choose(file)
    expect(desk.cards("succeeded")).to_have_count(1)
    # When the command is copied
    desk.button("Copy a curl command for", name).click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    desk.page.evaluate("window.name = 'with clipboard'")
    desk.open()
    command = pasted(desk)
    # Then a shell in the folder of the picture gets the same label
    assert shlex.split(command)[0] == "curl"
    done = subprocess.run(["bash", "-c", f"{command} -s"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert digest_of(file.read_bytes()) in done.stdout


def test_all_results_can_be_downloaded(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a result, a failure, and a name that a spreadsheet would run as a formula
    desk = open_desk(stubbed.url)
    fine, formula = save("fine.png"), save('=HYPERLINK("x").png')
    broken = fine.with_name("broken.png")
    broken.write_bytes(b"no picture")
    desk.choose(fine, broken, formula)
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.cards("failed")).to_have_count(1)
    # When all are downloaded as CSV, Then there is one row per picture, in the order of the page
    header, *rows = csv.reader(io.StringIO(downloaded(desk, "Download CSV"), newline=""))
    assert header[:3] == ["file", "label_1", "confidence_1"] and header[-3:] == ["model", "digest", "error"]
    # And the formula has become text
    assert [row[0] for row in rows] == ["fine.png", "broken.png", '\'=HYPERLINK("x").png']
    assert rows[0][1:3] == [digest_of(fine.read_bytes()), "1"] and rows[0][-1] == ""
    assert rows[1][1:3] == ["", ""] and "not a picture" in rows[1][-1]
    # And as JSON, names are as they are
    records = json.loads(downloaded(desk, "Download JSON"))
    assert [(each["file"], each["status"]) for each in records] == [
        ("fine.png", "succeeded"),
        ("broken.png", "failed"),
        (formula.name, "succeeded"),
    ]
    assert records[0]["result"]["prediction_1"]["predicted_label"] == digest_of(fine.read_bytes())
    assert "not a picture" in records[1]["problem"]["detail"]

"""The web page before a service that wants keys and counts uploads."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from shared import api_keys
from tests.browser.conftest import Desk, Save, stub_service
from tests.support.processes import Service
from tests.support.stub_worker import digest_of

OpenDesk = Callable[..., Desk]
KEY = "topthree_alices-own-key"
# Beyond what buffers on the way hold: the service refuses it while it is being sent.
LARGE_SIDE = 2500


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Service]:
    with stub_service(tmp_path, API_KEYS=f"alice:{api_keys.digest_of(KEY)}", WORKERS="2") as service:
        yield service


def give(desk: Desk, key: str) -> None:
    """Answer the page's question for a key, once it is asked."""
    field = key_field(desk)
    field.fill(key)
    field.press("Enter")


def key_field(desk: Desk) -> Locator:
    return desk.page.get_by_label("This service requires an API key.")


def refusal(desk: Desk) -> Locator:
    """What is said about the key that was given."""
    return desk.page.locator("#key-form").get_by_role("alert")


def test_a_wrong_key_is_told_and_the_right_one_serves_for_everything(
    open_desk: OpenDesk, locked: Service, save: Save, gate: Path
) -> None:
    # Given a service that wants keys
    desk = open_desk(locked.url)
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    # When pictures come, Then a key is asked for
    desk.choose(save("one.png"), save("slow.png", f"until={gate}"))
    expect(key_field(desk)).to_be_focused()
    desk.screenshot("key")
    # When it is wrong, Then that is said, and it is asked for again
    give(desk, "wrong")
    expect(refusal(desk)).to_have_text("This API key is not valid.")
    expect(key_field(desk)).to_be_focused()
    desk.screenshot("wrong key")
    # When it is right, Then pictures are uploaded and followed
    give(desk, KEY)
    expect(key_field(desk)).to_be_hidden()
    expect(desk.cards("running")).to_have_count(1)
    expect(desk.cards("succeeded")).to_have_count(1)
    # and a reload goes on without asking again
    desk.open()
    expect(desk.cards("succeeded")).to_have_count(1)
    expect(desk.cards("running")).to_have_count(1)
    # and jobs can be canceled and removed
    ids = {entry["name"]: entry["id"] for entry in desk.remembered()}
    desk.button("Cancel", "slow.png").click()
    expect(desk.cards("canceled")).to_have_count(1)
    # and the JSON is there, though a link cannot carry a key
    with desk.page.context.expect_page() as opened:
        desk.page.get_by_role("link", name="JSON of one.png").click()
    expect(opened.value.locator("body")).to_contain_text(f'"id": "{ids["one.png"]}"')
    # and a copied command names a variable instead of the key, as commands are stored and shared
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.button("Copy a curl command for", "one.png").click()
    expect(desk.page.get_by_role("status")).to_have_text("Copied.")
    command = desk.page.evaluate("navigator.clipboard.readText()")
    assert '-H "X-API-Key: $API_KEY"' in command and KEY not in command
    with desk.page.expect_response(f"**/result/{ids['one.png']}") as removed:
        desk.button("Remove", "one.png").click()
    assert removed.value.status == 204
    header = {"X-API-Key": KEY}
    assert locked.result(ids["slow.png"], headers=header).json()["status"] == "canceled"
    # and the key was never in an address, nor is it kept beyond this tab
    assert asked and not [url for url in asked if KEY in url]
    assert KEY not in desk.page.evaluate("JSON.stringify(localStorage)")


def test_the_shown_command_names_the_key(open_desk: OpenDesk, locked: Service, save: Save, tmp_path: Path) -> None:
    # Given the command on the empty page of a service that wants keys
    desk = open_desk(locked.url)
    command = desk.page.locator("#command").inner_text()
    desk.screenshot("empty, keys")
    # When a shell runs it with a key in the variable that it names, Then it gets the labels
    picture = save("picture.jpg")
    done = subprocess.run(
        ["bash", "-c", f"API_KEY={KEY}; {command} -s"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert digest_of(picture.read_bytes()) in done.stdout


def test_a_large_picture_without_a_key_is_asked_for_one(open_desk: OpenDesk, locked: Service, save: Save) -> None:
    desk = open_desk(locked.url)
    desk.choose(save("large.png", side=LARGE_SIDE))
    give(desk, KEY)
    expect(desk.cards("succeeded")).to_have_count(1)


def test_a_key_with_characters_that_no_key_has_is_told(open_desk: OpenDesk, locked: Service, save: Save) -> None:
    desk = open_desk(locked.url)
    desk.choose(save("one.png"))
    give(desk, "s€cret")
    expect(refusal(desk)).to_contain_text("characters")
    give(desk, KEY)
    expect(desk.cards("succeeded")).to_have_count(1)


def test_a_browser_that_keeps_nothing_is_asked_once(open_desk: OpenDesk, locked: Service, save: Save) -> None:
    # Given a browser in which the page may keep nothing
    desk = open_desk(locked.url)
    desk.page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }")
    desk.open()
    # When a key is given, Then it holds for as long as the page
    desk.choose(save("one.png"))
    give(desk, KEY)
    expect(desk.cards("succeeded")).to_have_count(1)


def test_a_picture_that_waits_for_a_key_can_be_canceled(open_desk: OpenDesk, locked: Service, save: Save) -> None:
    desk = open_desk(locked.url)
    desk.choose(save("unwanted.png"), save("wanted.png"))
    expect(desk.card("unwanted.png")).to_contain_text("Waiting for the API key")
    desk.button("Cancel", "unwanted.png").click()
    give(desk, KEY)
    expect(desk.cards("succeeded")).to_have_count(1)
    expect(desk.card("unwanted.png")).to_contain_text("Canceled.")


def test_a_used_up_quota_is_told_and_waited_for(open_desk: OpenDesk, tmp_path: Path, save: Save) -> None:
    # Given a service that takes one picture a second
    with stub_service(tmp_path, API_KEYS=f"alice:{api_keys.digest_of(KEY)}", RATE_LIMIT="1/second") as service:
        desk = open_desk(service.url)
        # When four come at once
        desk.choose(*(save(f"{number}.png") for number in range(4)))
        give(desk, KEY)
        # Then those that are too many say so, and all are classified
        told = re.compile(r"Too many uploads: 1 per second are allowed\..*Trying again in \d s\.")
        expect(desk.page.locator(".state", has_text=told).first).to_be_visible()
        expect(desk.cards("succeeded")).to_have_count(4)
        desk.check()


@pytest.mark.parametrize(("now", "when"), [("10:30", "at 11:"), ("23:30", "tomorrow at 12:")])
def test_a_quota_for_an_hour_is_left_alone_for_an_hour(
    open_desk: OpenDesk, tmp_path: Path, save: Save, now: str, when: str
) -> None:
    # Given a service whose quota is used up by the first picture
    with stub_service(tmp_path, RATE_LIMIT="1/hour") as service:
        desk = open_desk(service.url, locale="en-US")
        desk.page.clock.install(time=f"2026-03-02T{now}:00")
        desk.open()
        uploads: list[str] = []
        desk.page.on("request", lambda request: uploads.append(request.url) if request.method == "POST" else None)
        desk.choose(save("first.png"), save("second.png"))
        # Then the other one says when it will be tried again,
        told = desk.page.locator(".state", has_text="1 per hour are allowed")
        expect(told).to_contain_text(f"Trying again {when}")
        # is not tried before,
        desk.page.clock.fast_forward("30:00")
        expect(told).to_be_visible()
        assert len(uploads) == 2
        # and is tried then
        with desk.page.expect_request("**/upload?*"):
            desk.page.clock.fast_forward("32:00")
        desk.check()

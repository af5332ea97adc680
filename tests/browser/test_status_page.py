"""`/status` in a real browser: numbers, workers, failures; for operators, retry and cancel."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Request, expect

from shared.api_keys import digest_of
from tests.browser.conftest import Desk, stub_service
from tests.support.processes import RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, make_picture
from tests.support.subpath_proxy import subpath_proxy
from tests.support.wait import eventually

OpenDesk = Callable[..., Desk]
ALICE, BOB = "topthree_alices-own-key", "topthree_bobs-own-key"
KEYS = f"alice:{digest_of(ALICE)},bob:{digest_of(BOB)}"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Service]:
    """A service with an operator, Alice, and Bob."""
    with stub_service(tmp_path, API_KEYS=KEYS, OPERATORS="alice") as service:
        yield service


def open_status(open_desk: OpenDesk, url: str, **options: object) -> Desk:
    """Go to the status as a person does: from the page."""
    desk = open_desk(url, **options)
    desk.page.get_by_role("link", name="Status").click()
    expect(desk.page.get_by_role("heading", name="Status")).to_be_visible()
    return desk


def value(desk: Desk, name: str) -> Locator:
    """The number with this name."""
    pair = desk.page.locator("#numbers > div").filter(has=desk.page.get_by_text(name, exact=True))
    return pair.locator("dd")


def failures(desk: Desk) -> Locator:
    return desk.page.locator("#failures > li")


def give(desk: Desk, key: str) -> None:
    field = desk.page.get_by_label("This service requires an API key.")
    field.fill(key)
    field.press("Enter")


def status_requests(desk: Desk) -> list[Request]:
    """Return a list to which every request for the status is added."""
    asked: list[Request] = []
    desk.page.on("request", lambda request: asked.append(request) if "status.json" in request.url else None)
    return asked


def hide(desk: Desk, hidden: bool) -> None:
    """Have the tab say that it is hidden: the browser of the tests always shows it."""
    desk.page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_page_follows_the_service(open_desk: OpenDesk, stubbed: Service, gate: Path) -> None:
    # Given the status of an idle service
    desk = open_status(open_desk, stubbed.url)
    expect(desk.page.locator("#workers > li")).to_have_count(1)
    expect(desk.page.locator(".busy")).to_have_text("0 of 1 busy")
    expect(desk.page.get_by_text("No failed job is stored.")).to_be_visible()
    # When a picture runs, and one waits
    for _ in range(2):
        stubbed.accept(make_picture(f"until={gate}"))
    # Then the page shows it without a reload
    expect(value(desk, "Running")).to_have_text("1")
    expect(value(desk, "Waiting")).to_have_text("1")
    expect(value(desk, "Age of the oldest")).to_have_text(re.compile(r"\d+ s"))
    expect(desk.page.locator(".busy")).to_have_text("1 of 1 busy")
    # And when both have ended, the graph counts them
    gate.touch()
    expect(value(desk, "Running")).to_have_text("0")
    expect(desk.page.get_by_role("img", name=re.compile(r"2 in all, 0 of them failed"))).to_be_visible()
    expect(desk.page.locator("#graph .done")).to_have_attribute("d", re.compile("^M17"))
    expect(value(desk, "Done in the last full minute")).to_have_text(re.compile(r"^\d$"))
    # And the links in the header look as on the other page
    assert desk.page.get_by_role("navigation").inner_text() == "Classify pictures API docs"


def test_a_failed_job_is_retried_with_the_keyboard(open_desk: OpenDesk, stubbed: Service, tmp_path: Path) -> None:
    # Given a job that failed for want of a file
    mended = tmp_path / "mended"
    job_id = stubbed.accept(make_picture(f"needs={mended}"))
    stubbed.finished(job_id)
    desk = open_status(open_desk, stubbed.url)
    expect(failures(desk)).to_have_count(1)
    expect(failures(desk)).to_contain_text(re.compile(rf"Model failed.*could not classify.*Job {job_id}", re.S))
    desk.screenshot("status, failures")
    # When it is retried, now that the file is there
    mended.touch()
    desk.page.get_by_role("button", name=f"Retry {job_id}").press("Enter")
    # Then the new job is spoken, the button is gone, and the focus has a place
    expect(desk.page.get_by_role("status")).to_have_text(re.compile("^Retried as [0-9a-f]{32}"))
    expect(desk.page.get_by_role("button", name=re.compile("^Retry"))).to_have_count(0)
    expect(desk.page.get_by_role("heading", name="Last failures")).to_be_focused()
    new_id = desk.page.get_by_role("status").inner_text().split()[-1].rstrip(".")
    assert stubbed.finished(new_id)["status"] == "succeeded"


def test_the_oldest_job_is_canceled_after_a_question(open_desk: OpenDesk, stubbed: Service, gate: Path) -> None:
    # Given a job that does not end
    job_id = stubbed.accept(make_picture(f"until={gate}"))
    desk = open_status(open_desk, stubbed.url)
    cancel = desk.page.get_by_role("button", name="Cancel it")
    expect(desk.page.locator("#oldest")).to_contain_text(job_id)
    # When the question is denied, Then it goes on
    desk.page.once("dialog", lambda dialog: dialog.dismiss())
    cancel.click()
    assert stubbed.result(job_id).status_code == 202
    # When it is confirmed, Then it is canceled
    desk.page.once("dialog", lambda dialog: dialog.accept())
    cancel.click()
    assert stubbed.finished(job_id)["status"] == "canceled"
    expect(desk.page.locator("#oldest")).to_be_hidden()
    gate.touch()


def test_a_hidden_tab_asks_nothing(open_desk: OpenDesk, stubbed: Service) -> None:
    desk = open_desk(stubbed.url)
    desk.page.clock.install(time="2026-03-02T10:30:00")
    desk.page.get_by_role("link", name="Status").click()
    expect(desk.page.locator("#workers > li")).to_have_count(1)
    # From now on, time passes only when the test says so
    with desk.page.expect_response("**/status.json"):
        desk.page.clock.pause_at("2026-03-02T11:30:00")
    asked = status_requests(desk)
    # When some seconds pass, Then there is a request every three seconds
    for count in (1, 2):
        with desk.page.expect_response("**/status.json"):
            desk.page.clock.run_for(3000)
        assert len(asked) == count
    # When the tab is hidden for an hour, Then there is none
    hide(desk, True)
    desk.page.clock.fast_forward("01:00:00")
    desk.page.clock.run_for(10_000)
    assert len(asked) == 2
    # When it is seen again, Then the page asks at once
    with desk.page.expect_response("**/status.json"):
        hide(desk, False)


def test_an_operators_key_shows_and_retries_the_failures_of_others(open_desk: OpenDesk, locked: Service) -> None:
    # Given a failed job of Bob's
    answer = locked.upload(make_picture("raise"), headers={"Prefer": "respond-async", "X-API-Key": BOB})
    job_id = answer.json()["id"]
    eventually(lambda: locked.result(job_id, headers={"X-API-Key": BOB}).status_code == 200, what="its end")
    # When Alice opens the status, Then she is asked for her key, and sees the job
    desk = open_status(open_desk, locked.url)
    give(desk, "wrong")
    expect(desk.page.locator("#key-form").get_by_role("alert")).to_have_text("This API key is not valid.")
    desk.screenshot("status, key")
    give(desk, ALICE)
    expect(failures(desk)).to_contain_text(re.compile(rf"Job {job_id} · of bob"))
    # And retries it
    desk.page.get_by_role("button", name=f"Retry {job_id}").click()
    expect(desk.page.get_by_role("status")).to_have_text(re.compile("^Retried as"))
    # And the page does not ask for the key again
    desk.page.reload()
    expect(failures(desk).first).to_be_visible()


def test_another_key_shows_numbers_only(open_desk: OpenDesk, locked: Service) -> None:
    answer = locked.upload(make_picture("raise"), headers={"Prefer": "respond-async", "X-API-Key": ALICE})
    job_id = answer.json()["id"]
    desk = open_status(open_desk, locked.url)
    give(desk, BOB)
    expect(value(desk, "Failed recently")).to_have_text("1")
    expect(desk.page.get_by_text("it sees numbers only")).to_be_visible()
    expect(desk.page.get_by_role("heading", name="Last failures")).to_be_hidden()
    assert job_id not in desk.page.content()


def test_a_redis_that_is_away_is_told_and_the_last_numbers_stay(open_desk: OpenDesk, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    service = Service(server.url, tmp_path, tmp_path)
    try:
        service.start_api()
        desk = open_status(open_desk, service.url)
        # Given a service without a worker
        expect(desk.page.get_by_text("No worker is running.")).to_be_visible()
        notice = desk.page.locator("#notice")
        expect(notice).to_be_empty()
        # When Redis goes, Then the page says so, and when it was updated last
        server.stop()
        expect(notice).to_contain_text("The service cannot reach its storage right now.")
        expect(value(desk, "Waiting")).to_have_text("0")
        expect(desk.page.locator("#updated")).to_contain_text("Updated")
        # And numbers and buttons do not look current
        expect(desk.page.locator("#state")).to_have_js_property("disabled", True)
        expect(desk.page.locator("#state")).not_to_have_css("opacity", "1")
        desk.screenshot("status, Redis away")
        assert desk.violations() == []
        # And a page that is opened now says it too
        desk.page.reload()
        expect(notice).to_contain_text("The service cannot reach its storage right now.")
        expect(desk.page.locator("#state")).to_be_hidden()
        # And when Redis is back, the numbers are there again
        server.start()
        expect(notice).to_be_empty()
        expect(value(desk, "Waiting")).to_have_text("0")
        expect(desk.page.locator("#state")).to_have_js_property("disabled", False)
        # And when the API goes, the page says so
        assert service.api is not None
        service.api.stop()
        expect(notice).to_have_text("The service cannot be reached.")
    finally:
        service.stop()
        server.kill()


@pytest.mark.parametrize("end", ["", "/"])
def test_the_status_works_below_a_path_where_nobody_may_act(open_desk: OpenDesk, tmp_path: Path, end: str) -> None:
    with stub_service(tmp_path, TRUSTED_PROXIES="1") as service, subpath_proxy(service.port, "/cats") as address:
        job_id = service.accept(make_picture("raise"))
        service.finished(job_id)
        desk = open_status(open_desk, address + end)
        # Then the reason is seen, without the id
        expect(failures(desk)).to_contain_text("Model failed")
        assert job_id not in desk.page.content()
        expect(desk.page.get_by_text("from the service's own machine")).to_be_visible()
        desk.page.get_by_role("link", name="Classify pictures").click()
        expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    open_desk: OpenDesk, tmp_path: Path, gate: Path, scheme: str, width: int
) -> None:
    # Given a busy service with failures and two workers
    with stub_service(tmp_path) as service:
        service.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(tmp_path / "executions")})
        service.wait_ready(2)
        for behaviour in ("raise", "", "raise", *[f"until={gate}"] * 3):
            job_id = service.accept(make_picture(behaviour))
            if not behaviour.startswith("until"):
                service.finished(job_id)
        viewport = {"width": width, "height": 2000 if width == 320 else 900}
        desk = open_status(open_desk, service.url, color_scheme=scheme, viewport=viewport, has_touch=width == 320)
        expect(failures(desk)).to_have_count(2)
        expect(value(desk, "Running")).to_have_text("2")
        # Then axe finds nothing, and no line is too long
        found = [violation["id"] for violation in Axe().run(desk.page).response["violations"]]
        desk.screenshot(f"status, {scheme}, {width} pixels")
        assert found == []
        assert desk.page.evaluate("document.documentElement.scrollWidth") == width
        gate.touch()

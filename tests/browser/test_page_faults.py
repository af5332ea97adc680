"""The web page when things take long or break: queues, limits, lost connections, a service that goes away."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.conftest import Desk, Save, stub_service
from tests.support.processes import Service
from tests.support.stub_worker import digest_of, make_picture, read_executions
from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy
from tests.support.wait import eventually

OpenDesk = Callable[..., Desk]


def test_every_step_is_shown(open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path) -> None:
    desk = open_desk(stubbed.url)
    # Given a slow line
    line = desk.page.context.new_cdp_session(desk.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", slow)
    # When a large picture is sent, Then its percentage is shown
    desk.choose(save("large.png", f"until={gate}", side=500))
    expect(desk.card("large.png")).to_contain_text(re.compile(r"Uploading, [1-9]\d?%"))
    desk.screenshot("uploading")
    # and that it is being worked on
    expect(desk.cards("running")).to_have_count(1)
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    # When others come meanwhile, Then they show their places in the queue
    desk.choose(save("first.png"))
    expect(desk.card("first.png")).to_contain_text("Queued, number 1")
    desk.choose(save("second.png"))
    expect(desk.card("second.png")).to_contain_text("Queued, number 2")
    desk.screenshot("queued")
    # And when the first one is done, the others follow
    gate.touch()
    expect(desk.cards("succeeded")).to_have_count(3)


def test_a_queued_and_a_running_picture_can_be_canceled(
    open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path, tmp_path: Path
) -> None:
    # Given a running picture and a queued one
    desk = open_desk(stubbed.url)
    running, queued = save("running.png", f"until={gate}"), save("queued.png")
    # One after the other, as uploads of one choice may arrive in any order.
    desk.choose(running)
    expect(desk.cards("running")).to_have_count(1)
    desk.choose(queued)
    expect(desk.cards("queued")).to_have_count(1)
    ids = [entry["id"] for entry in desk.remembered()]
    # When both are canceled
    for file in (queued, running):
        desk.button("Cancel", file.name).click()
        expect(desk.card(file.name)).to_contain_text("Canceled.")
    # Then the service knows it, and the queued one is never begun
    eventually(lambda: {stubbed.result(each).json()["status"] for each in ids} == {"canceled"}, what="canceled jobs")
    gate.touch()
    after = make_picture()
    stubbed.finished(stubbed.accept(after))
    assert set(read_executions(tmp_path / "executions")) == {digest_of(running.read_bytes()), digest_of(after)}
    # and a picture that is still there can be tried again
    desk.button("Try again with", "queued.png").click()
    expect(desk.cards("succeeded")).to_have_count(1)


def test_an_upload_can_be_canceled(open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path) -> None:
    desk = open_desk(stubbed.url)
    line = desk.page.context.new_cdp_session(desk.page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 50_000}
    line.send("Network.emulateNetworkConditions", slow)
    desk.choose(save("large.png", side=500))
    expect(desk.card("large.png")).to_contain_text(re.compile(r"Uploading, \d+%"))
    # When it is canceled, Then the rest of it is not sent
    with desk.page.expect_event("requestfailed", lambda request: "/upload?" in request.url):
        desk.button("Cancel", "large.png").click()
    expect(desk.card("large.png")).to_contain_text("Canceled.")
    # and the next one is not kept waiting
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    desk.choose(save("small.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    assert sum(read_executions(tmp_path / "executions").values()) == 1


def test_three_of_many_are_uploaded_at_once(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a page whose uploads are counted
    desk = open_desk(stubbed.url)
    desk.page.add_init_script(
        """
        window.most = 0;
        let now = 0;
        const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (body) {
          now += 1;
          most = Math.max(most, now);
          this.addEventListener("loadend", () => { now -= 1; });
          send.call(this, body);
        };
        """
    )
    desk.open()
    # When many pictures come, Then all are classified, and a connection was left for everything else
    desk.choose(*(save(f"{number}.png") for number in range(30)))
    expect(desk.cards("succeeded")).to_have_count(30)
    assert desk.page.evaluate("most") == 3


def test_a_full_queue_is_waited_for(open_desk: OpenDesk, tmp_path: Path, save: Save, gate: Path) -> None:
    # Given a service with room for one picture
    with stub_service(tmp_path, MAX_OPEN_JOBS="1") as service:
        desk = open_desk(service.url)
        # When four come
        desk.choose(*(save(f"{number}.png", f"until={gate}") for number in range(4)))
        # Then those that are refused say why and when they come back, and all are classified
        expect(desk.page.locator(".state", has_text=re.compile(r"Trying again in \d+ s")).first).to_be_visible()
        gate.touch()
        expect(desk.cards("succeeded")).to_have_count(4)
        desk.check()


def test_the_page_reports_a_missing_worker(open_desk: OpenDesk, tmp_path: Path, save: Save) -> None:
    with stub_service(tmp_path, NO_WORKER_GRACE_SECONDS="1") as service:
        # Given a service whose only worker has stopped
        assert service.workers[0].stop() == 0
        desk = open_desk(service.url)
        # When a picture is chosen, Then its card reports that no worker is running
        desk.choose(save("picture.png"))
        expect(desk.card("picture.png")).to_contain_text(
            "Queued, number 1. No worker is running; the job is kept.", timeout=15_000
        )
        desk.screenshot("no-worker")
        # And when a worker starts, the picture gets its labels
        service.start_worker("tests.support.stub_worker", STUB_EXECUTIONS=str(tmp_path / "executions"))
        expect(desk.cards("succeeded")).to_have_count(1, timeout=30_000)
        expect(desk.card("picture.png")).not_to_contain_text("No worker")


def test_more_pictures_than_may_wait_are_all_answered(open_desk: OpenDesk, tmp_path: Path, save: Save) -> None:
    # Given a service in which nobody but one may wait
    with stub_service(tmp_path, MAX_WAITERS="1") as service:
        desk = open_desk(service.url)
        polls: list[str] = []
        desk.page.on("request", lambda request: polls.append(request.url) if "/result/" in request.url else None)
        # When pictures come whose turn takes a while
        desk.choose(*(save(f"{number}.png", "sleep=0.5") for number in range(8)))
        expect(desk.cards("succeeded")).to_have_count(8)
        # Then all are answered without a storm of questions
        assert len(polls) < 80
        desk.check()


def test_a_quota_is_honoured(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    keys: list[str | None] = []

    def refuse_once(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) > 1:
            route.continue_()
        else:
            route.fulfill(status=429, headers={"Retry-After": "2"}, json={"error": "The quota is used up."})

    desk.page.route("**/upload?*", refuse_once)
    desk.choose(save("one.png"))
    expect(desk.card("one.png")).to_contain_text(re.compile(r"The quota is used up\. Trying again in [23] s\."))
    expect(desk.cards("succeeded")).to_have_count(1)
    assert len(keys) == 2


def test_a_retry_after_a_lost_answer_joins_the_job(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path
) -> None:
    # Given a line that breaks when the answer comes
    with TcpProxy(stubbed.port) as line:
        desk = open_desk(f"http://127.0.0.1:{line.port}")
        line.fault = Fault(cut_answers=1)
        # When a picture is sent, again and again, until the line is mended
        desk.choose(save("one.png"))
        expect(desk.card("one.png")).to_contain_text("Trying again in")
        eventually(lambda: read_executions(tmp_path / "executions"), what="a job that the page does not know of")
        line.fault = HEALTHY
        # Then it has its labels, and was classified once
        expect(desk.cards("succeeded")).to_have_count(1)
        assert sum(read_executions(tmp_path / "executions").values()) == 1


def test_an_upload_on_a_line_that_has_died_is_sent_again(
    open_desk: OpenDesk, stubbed: Service, save: Save, tmp_path: Path
) -> None:
    # Given a line on which nothing passes any more, and nothing tells of it
    with TcpProxy(stubbed.port) as line:
        desk = open_desk(f"http://127.0.0.1:{line.port}")
        desk.page.clock.install()
        desk.open()
        line.fault = Fault(black_hole=True)
        # When a picture is sent, and the service would have given it up long ago
        with desk.page.expect_request("**/upload?*"):
            desk.choose(save("one.png"))
        desk.page.clock.fast_forward("02:30")
        # Then it is sent again, and classified once
        expect(desk.card("one.png")).to_contain_text("Trying again in")
        line.fault = HEALTHY
        expect(desk.cards("succeeded")).to_have_count(1)
        assert sum(read_executions(tmp_path / "executions").values()) == 1


def test_a_restart_of_the_service_is_survived(open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path) -> None:
    # Given accepted pictures, and a service that stops
    desk = open_desk(stubbed.url)
    desk.choose(save("accepted.png", f"until={gate}"))
    expect(desk.cards("running")).to_have_count(1)
    assert stubbed.api is not None
    stubbed.api.stop()
    # When another picture comes
    late = save("late.png")
    desk.choose(late)
    # Then both say what they wait for
    expect(desk.card("late.png")).to_contain_text(re.compile(r"cannot be reached\. Trying again in \d+ s"))
    expect(desk.card("accepted.png")).to_contain_text(re.compile(r"cannot be reached\. Checking again in \d+ s"))
    desk.screenshot("service away")
    # and both get their labels when it is back
    gate.touch()
    stubbed.start_api()
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.card("late.png").locator(".label").first).to_have_text(digest_of(late.read_bytes()))


def test_when_the_service_is_back_nothing_waits_any_longer(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given time that passes only when the test says so, a service that is away, a picture that it has, and another one
    desk = open_desk(stubbed.url)
    desk.page.clock.install()
    desk.open()
    expect(desk.page.locator("#model")).to_contain_text("Model: stub")
    desk.page.clock.pause_at(desk.page.evaluate("Date.now()") + 1000)
    desk.page.route(re.compile("/result/|/health/"), lambda route: route.abort())
    desk.choose(save("sent.png"))
    expect(desk.card("sent.png")).to_contain_text("The service cannot be reached. Checking again in")
    desk.page.route("**/upload?*", lambda route: route.abort())
    desk.choose(save("unsent.png"))
    expect(desk.card("unsent.png")).to_contain_text("The service cannot be reached. Trying again in")
    look_at_health = "document.dispatchEvent(new Event('visibilitychange'))"
    desk.page.evaluate(look_at_health)
    expect(desk.page.locator("#notice")).to_have_text("The service cannot be reached.")
    # When it is back, and the page finds that out, Then it goes on with both at once
    desk.page.unroute_all()
    desk.page.evaluate(look_at_health)
    expect(desk.page.locator("#notice")).to_be_empty()
    expect(desk.cards("succeeded")).to_have_count(2)


def test_a_reload_goes_on_with_open_jobs(open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path) -> None:
    # Given two open jobs, whichever of them arrived first
    desk = open_desk(stubbed.url)
    desk.choose(*(save(name, f"until={gate}") for name in ("one.png", "two.png")))
    open_cards = desk.page.locator(".card[data-state=queued], .card[data-state=running]")
    expect(open_cards).to_have_count(2)
    # When the page is loaded again, Then they are still there, and are followed to their ends
    desk.open()
    expect(open_cards).to_have_count(2)
    gate.touch()
    expect(desk.cards("succeeded")).to_have_count(2)


def test_jobs_that_the_service_has_lost_say_so(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a result that the service knows nothing of any more
    desk = open_desk(stubbed.url)
    desk.choose(save("one.png"))
    expect(desk.cards("succeeded")).to_have_count(1)
    desk.page.evaluate(
        """() => {
            const [[name, value]] = Object.entries(localStorage);
            localStorage.setItem(name, JSON.stringify({...JSON.parse(value), id: "0".repeat(32)}));
        }"""
    )
    desk.open()
    # Then the page does not pretend
    expect(desk.cards("failed").locator(".state")).to_contain_text(re.compile("no job|never|unknown", re.IGNORECASE))


def test_an_upload_that_a_reload_cut_off_is_told(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given an upload that is not finished
    desk = open_desk(stubbed.url)
    desk.page.route("**/upload?*", lambda route: route.fulfill(status=503, headers={"Retry-After": "60"}, json={}))
    desk.choose(save("unsent.png"))
    expect(desk.card("unsent.png")).to_contain_text(re.compile(r"Trying again in [6-9]\d s"))
    # When the page is left all the same
    warnings: list[str] = []

    def leave(dialog: object) -> None:
        warnings.append(dialog.type)
        dialog.accept()

    desk.page.on("dialog", leave)
    desk.page.reload()
    # Then the browser has warned, and the picture says that it is to be chosen again
    expect(desk.card("unsent.png")).to_contain_text("Choose the file again.")
    assert warnings == ["beforeunload"]


def test_too_large_a_file_is_not_sent(open_desk: OpenDesk, tmp_path: Path, save: Save) -> None:
    with stub_service(tmp_path, MAX_IMAGE_BYTES="1000000") as service:
        desk = open_desk(service.url)
        sent: list[str] = []
        desk.page.on("request", lambda request: sent.append(request.method))
        desk.choose(save("large.png", side=800))
        expect(desk.card("large.png")).to_contain_text(re.compile(r"1\.\d MB; the limit is 1 MB\."))
        assert "POST" not in sent
        desk.check()


def test_names_and_labels_are_text(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    desk = open_desk(stubbed.url)
    name = "<img src=x onerror=alert(1)>.png"
    desk.choose(save(name))
    expect(desk.cards("succeeded")).to_have_count(1)
    expect(desk.card(name)).to_have_count(1)


def test_a_long_name_is_shown_in_two_lines_and_told_whole(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a phone, and a name that is longer than any line
    desk = open_desk(stubbed.url, viewport={"width": 360, "height": 740})
    name = "holiday " * 5 + "x" * 150 + ".png"
    desk.choose(save(name))
    expect(desk.cards("succeeded")).to_have_count(1)
    # Then it takes two lines, and the whole of it is there for who points at it
    heading = desk.card(name).locator(".name")
    expect(heading).to_have_attribute("title", name)
    lines = heading.evaluate("(each) => each.clientHeight / parseFloat(getComputedStyle(each).lineHeight)")
    assert round(lines) == 2
    assert desk.page.evaluate("document.documentElement.scrollWidth") == 360


def test_nothing_moves_for_those_who_do_not_want_it(
    open_desk: OpenDesk, stubbed: Service, save: Save, gate: Path
) -> None:
    desk = open_desk(stubbed.url, reduced_motion="reduce")
    desk.choose(save("slow.png", f"until={gate}"))
    expect(desk.cards("running")).to_contain_text("Running.")
    # Not waited for: it is hidden in the end in any case.
    assert not desk.cards("running").locator("progress").is_visible()


def test_bars_have_an_end_where_the_system_chooses_the_colours(
    open_desk: OpenDesk, stubbed: Service, save: Save
) -> None:
    desk = open_desk(stubbed.url, forced_colors="active")
    desk.choose(save("one.png"))
    expect(desk.card("one.png").locator(".bar").first).to_have_css("border-top-style", "solid")
    desk.screenshot("forced colours")


def test_a_key_is_asked_for_once(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a service that wants a key
    desk = open_desk(stubbed.url)

    def guard(route: Route) -> None:
        if route.request.header_value("x-api-key") == "right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": "A key is needed."})

    desk.page.route(re.compile("/upload\\?|/result/"), guard)
    # When pictures come
    desk.choose(save("one.png"), save("two.png"))
    # Then it is asked for, again if it is wrong,
    field = desk.page.get_by_label("This service requires an API key.")
    for key in ("wrong", "right"):
        expect(field).to_be_focused()
        field.fill(key)
        field.press("Enter")
    # and all goes on, also after a reload
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(field).to_be_hidden()
    desk.open()
    expect(desk.cards("succeeded")).to_have_count(2)
    # The JSON is there all the same, though a link cannot send a key
    with desk.page.context.expect_page() as opened:
        desk.page.get_by_role("link", name="JSON of one.png").click()
    expect(opened.value.locator("body")).to_contain_text('"status": "succeeded"')

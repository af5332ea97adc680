"""The client: what is asked, what is tried again with which key, what is raised."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.client.conftest import Clock, Script, accepted, labels, problem
from topthree_client import Client, JobGone, Label, PictureFailed, ServiceUnavailable


def test_a_picture_is_sent_as_it_is_and_its_labels_come_back(tmp_path: Path) -> None:
    # Given a picture in a file
    (tmp_path / "cat.png").write_bytes(b"a picture")
    script = Script(accepted(), labels())
    # When it is classified
    with script.client(api_key="secret") as client:
        result = client.classify(tmp_path / "cat.png", top=2)
    # Then its labels are there, with the model
    assert result.labels == (Label("cat", 0.7), Label("dog", 0.2))
    assert (result.model, result.digest) == ("m", "d" * 64)
    # And it was sent without waiting, and its job waited for
    upload, wait = script.asked
    assert (upload.method, upload.url.path, upload.url.params["top"]) == ("POST", "/upload", "2")
    assert script.bodies[0] == b"a picture" and upload.headers["Content-Length"] == "9"
    assert upload.headers["Prefer"] == "respond-async" and upload.headers["Content-Type"].startswith("image/")
    assert (wait.method, wait.url.path, wait.headers["Prefer"]) == ("GET", "/result/" + "a" * 32, "wait=20")
    assert {request.headers["Authorization"] for request in script.asked} == {"Bearer secret"}


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("no answer"),
        httpx.RemoteProtocolError("closed"),
        httpx.WriteTimeout("too slow"),
        problem(408),
        problem(503),
        problem(429),
        httpx.Response(502, text="<html>"),
    ],
    ids=repr,
)
def test_what_goes_wrong_is_tried_again_with_the_same_key(clock: Clock, trouble: httpx.Response | Exception) -> None:
    # Given trouble with the upload, and with the wait
    script = Script(trouble, trouble, accepted(), trouble, labels())
    # When a picture is classified
    with script.client() as client:
        client.classify(b"a picture")
    # Then it was sent three times, whole, as one request
    assert script.bodies[:3] == [b"a picture"] * 3
    assert len(script.keys) == 3 and len(set(script.keys)) == 1
    # And with longer and longer pauses
    assert len(clock.slept) == 3 and clock.slept[1] >= clock.slept[0]


def in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["20", lambda: in_seconds(20)], ids=["number", "date"])
def test_clients_come_back_when_they_were_told_to_but_not_in_the_same_moment(
    clock: Clock, status: int, header: str | Callable[[], str]
) -> None:
    # Given a service that tells all its clients to come back in 20 seconds
    for _ in range(40):
        told = header() if callable(header) else header
        script = Script(problem(status, **{"Retry-After": told}), accepted(), labels())
        # When they do
        with script.client() as client:
            client.classify(b"a picture")
    # Then none is early (but for what a date rounds off), none is late, and they are spread over the time between
    assert all(18 < seconds <= 30 for seconds in clock.slept)
    assert max(clock.slept) - min(clock.slept) > 5


def test_clients_that_may_come_back_in_a_second_are_spread_too(clock: Clock) -> None:
    for _ in range(40):
        script = Script(problem(503, **{"Retry-After": "1"}), accepted(), labels())
        with script.client() as client:
            client.classify(b"a picture")
    assert all(1 <= seconds <= 2 for seconds in clock.slept)
    assert max(clock.slept) - min(clock.slept) > 0.5


def test_a_return_that_patience_just_allows_is_not_given_up_for_its_spread(clock: Clock) -> None:
    script = Script(problem(429, **{"Retry-After": "60"}), accepted(), labels())
    with script.client(patience_seconds=61) as client:
        client.classify(b"a picture")
    assert 60 <= clock.now <= 61


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["301", "99999999999999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_service_that_wants_to_be_left_alone_for_long_is_not_waited_for(
    clock: Clock, status: int, header: str
) -> None:
    script = Script(problem(status, "The quota is used up.", **{"Retry-After": header}))
    with (
        script.client() as client,
        pytest.raises(ServiceUnavailable, match=r"The quota is used up; try again in \d+ s"),
    ):
        client.classify(b"a picture")
    assert (len(script.asked), clock.slept) == (1, [])


def test_a_job_is_asked_for_soon_whatever_its_answer_says(clock: Clock) -> None:
    script = Script(
        httpx.Response(202, json={"id": "a"}, headers={"Retry-After": "99999999999999999999"}),
        httpx.Response(
            202, json={"id": "a"}, headers={"Retry-After": "Wed, 21 Oct 2025 07:28:00 +99999999999999999999"}
        ),
        labels(),
    )
    with script.client() as client:
        client.wait("a")
    assert 10 <= clock.now <= 16


def test_a_slow_attempt_leaves_all_the_patience_for_others(clock: Clock) -> None:
    # Given an upload over a slow line that is cut after longer than patience lasts
    def cut() -> httpx.Response:
        clock.now += 400
        raise httpx.ReadError("reset")

    script = Script(cut, accepted(), labels())
    # When a picture is classified, Then it is sent again
    with script.client() as client:
        client.classify(b"a picture")
    assert len(script.keys) == 2
    # And a service that cuts every attempt is given up
    script = Script(cut)
    with script.client() as client, pytest.raises(ServiceUnavailable, match="reset"):
        client.classify(b"a picture")
    assert len(script.keys) == 2


def test_a_large_picture_has_more_time_to_leave_the_buffers_than_a_small_one() -> None:
    limits = []
    for size in (10_000, 1_000_000, 15_000_000):
        script = Script(accepted(), labels())
        with script.client() as client:
            client.classify(bytes(size))
        limits.append(script.asked[0].extensions["timeout"]["read"])
    assert limits == pytest.approx([35, 66, 163], abs=1)


def test_patience_ends(clock: Clock) -> None:
    # Given a service that has answered, and does not any more
    script = Script(httpx.ConnectError("refused"))
    # When a picture is classified, Then that ends, and in time
    with (
        script.client(patience_seconds=60) as client,
        pytest.raises(ServiceUnavailable, match=r"http://service.*refused"),
    ):
        client.classify(b"a picture")
    assert 45 < clock.now <= 60


@pytest.mark.parametrize("status", [404, 410])
def test_a_picture_whose_job_is_gone_is_sent_again_under_another_key(status: int) -> None:
    # Given a job that is lost while it is waited for, and then one whose key still leads to it
    script = Script(accepted(), problem(status), problem(status), accepted(), labels())
    # When a picture is classified
    with script.client() as client:
        client.classify(b"a picture")
    # Then it was sent three times, as three requests
    assert len(set(script.keys)) == len(script.keys) == 3


def test_jobs_that_are_always_gone_are_given_up() -> None:
    script = Script(problem(410))
    with script.client() as client, pytest.raises(JobGone):
        client.classify(b"a picture")
    assert len(script.asked) == 10


def test_the_key_is_that_of_bytes_top_and_salt_whatever_the_file_is_called(tmp_path: Path) -> None:
    def key(name: str, data: bytes, top: int, salt: str | None) -> str:
        (tmp_path / name).write_bytes(data)
        script = Script(accepted(), labels())
        with script.client() as client:
            client.classify(tmp_path / name, top, salt=salt)
        return script.keys[0]

    same = key("a.png", b"1", 3, "salt")
    assert key("b.png", b"1", 3, "salt") == same
    others = [key("a.png", b"2", 3, "salt"), key("a.png", b"1", 4, "salt"), key("a.png", b"1", 3, "pepper")]
    # Without a salt every call is a request of its own.
    others += [key("a.png", b"1", 3, None), key("a.png", b"1", 3, None)]
    assert len({same, *others}) == 6


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_picture_is_told_with_the_services_sentence(status: int) -> None:
    script = Script(problem(status, "Not this one."))
    with script.client() as client, pytest.raises(PictureFailed, match=r"Not this one\.") as caught:
        client.classify(b"no picture")
    assert caught.value.status == status and len(script.asked) == 1


def test_a_job_that_failed_is_told_with_its_problem() -> None:
    record = {"id": "a", "status": "failed", "problem": {"status": 422, "title": "T", "detail": "It is cut off."}}
    script = Script(accepted(), httpx.Response(200, json=record))
    with script.client() as client, pytest.raises(PictureFailed, match="cut off") as caught:
        client.classify(b"half a picture")
    assert caught.value.status == 422


def test_a_job_is_asked_for_at_once_while_the_service_waits_and_else_later(clock: Clock) -> None:
    # Given a service that waits twice, and then has no room to
    waited = httpx.Response(202, json={"id": "a"}, headers={"Preference-Applied": "wait=20", "Retry-After": "1"})
    full = httpx.Response(202, json={"id": "a"}, headers={"Retry-After": "4"})
    script = Script(waited, waited, full, labels())
    # When a job is waited for, Then only the last time costs a pause
    with script.client() as client:
        client.wait("a")
    (pause,) = clock.slept
    assert 4 <= pause <= 6


def test_what_a_job_waits_for_is_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    # Given a service without a worker, which starts later
    note = {"id": "a" * 32, "status": "queued", "position": 1, "detail": "No worker is running; the job is kept."}
    waited = httpx.Response(202, json=note, headers={"Preference-Applied": "wait=20", "Retry-After": "1"})
    script = Script(httpx.Response(202, json=note), waited, labels())
    # When a picture is classified
    with caplog.at_level("INFO", "topthree_client"), script.client() as client:
        client.classify(b"a picture")
    # Then what the answers said is logged
    assert [record.getMessage() for record in caplog.records] == [f"http://service: {note['detail']}"] * 2


def test_a_wait_can_be_bounded(clock: Clock) -> None:
    # Given a job that does not end
    script = Script(httpx.Response(202, json={"id": "a"}, headers={"Retry-After": "1"}))
    # When it is waited for, Then no longer than that
    with script.client() as client, pytest.raises(TimeoutError, match=r"2\.5 s"):
        client.wait("a", seconds=2.5)
    assert clock.now == pytest.approx(2.5)
    assert script.asked[0].headers["Prefer"] == "wait=2"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(401, "A key is wanted."), "401: A key is wanted"),
        (problem(403, "Not with this key."), "403: Not with this key"),
        (httpx.Response(404, text="<html>"), "not an answer of topthree"),
        (httpx.Response(200, text="hello"), "not an answer of topthree"),
        (httpx.Response(202, headers={"Content-Type": "application/json"}, text="{"), "202"),
        (httpx.Response(202, json={}), "202"),
        (httpx.Response(301, headers={"Location": "https://service/"}), "https://service/"),
    ],
)
def test_what_is_no_answer_about_the_picture_speaks_of_the_service(answer: httpx.Response, words: str) -> None:
    script = Script(answer)
    with script.client() as client, pytest.raises(ServiceUnavailable, match=words):
        client.classify(b"a picture")
    assert len(script.asked) == 1


def test_a_key_is_not_carried_to_another_place() -> None:
    # Given a service that sends its clients elsewhere
    script = Script(httpx.Response(307, headers={"Location": "http://elsewhere/upload"}))
    # When a picture is sent with a key, Then nothing is asked there
    with script.client(api_key="secret") as client, pytest.raises(ServiceUnavailable):
        client.submit(b"a picture")
    assert [request.url.host for request in script.asked] == ["service"]


def test_a_damaged_answer_is_asked_for_again(clock: Clock) -> None:
    damaged = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(b"{}")[:-9] + b"damage123")
    )
    script = Script(accepted(), lambda: damaged, labels())
    with script.client() as client:
        assert client.classify(b"a picture").model == "m"


def test_status() -> None:
    worker = {"name": "w", "engine": "litert", "model": "m", "digest": "d", "answers": "a", "children": 2, "more": 1}
    jobs = {"open": 3, "running": 2, "failed": 1, "more": 0}
    script = Script(httpx.Response(200, json={"status": "ready", "workers": [worker], "jobs": jobs}))
    with script.client() as client:
        status = client.status()
    assert (status.workers[0].name, status.workers[0].children) == ("w", 2)
    assert (status.jobs.open, status.jobs.running, status.jobs.failed) == (3, 2, 1)


def test_status_is_not_tried_again() -> None:
    for answer in (httpx.ConnectError("refused"), httpx.Response(503, json={"status": "unavailable"}), accepted()):
        script = Script(answer)
        with script.client() as client, pytest.raises(ServiceUnavailable):
            client.status()
        assert len(script.asked) == 1


@pytest.mark.parametrize("url", ["", "service", "ftp://service", "http://", "http://service:port"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url)


def test_a_key_that_is_none_is_told() -> None:
    for key in ("two\nlines", "schlüssel"):
        with pytest.raises(ValueError, match="API key"):
            Client(api_key=key)

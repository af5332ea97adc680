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
@pytest.mark.parametrize(
    ("header", "least", "most"),
    # Dates are rounded to seconds.
    [(lambda: "20", 20, 30), (lambda: in_seconds(20), 18, 30), (lambda: "1", 1, 2)],
    ids=["number", "date", "one second"],
)
def test_clients_retry_after_retry_after_at_different_times(
    clock: Clock, status: int, header: Callable[[], str], least: float, most: float
) -> None:
    # Given a service that answers all clients with the same `Retry-After`
    for _ in range(40):
        script = Script(problem(status, **{"Retry-After": header()}), accepted(), labels())
        # When they retry
        with script.client() as client:
            client.classify(b"a picture")
    # Then none is early or late, and they are spread over the time between
    assert all(least <= seconds <= most for seconds in clock.slept)
    assert max(clock.slept) - min(clock.slept) > (most - least) / 3


def test_the_random_delay_does_not_exceed_the_remaining_retry_time(clock: Clock) -> None:
    script = Script(problem(429, **{"Retry-After": "60"}), accepted(), labels())
    with script.client(patience_seconds=61) as client:
        client.classify(b"a picture")
    assert 60 <= clock.now <= 61


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["301", "99999999999999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_above_the_retry_time_ends_the_request_at_once(clock: Clock, status: int, header: str) -> None:
    script = Script(problem(status, "The quota is used up.", **{"Retry-After": header}))
    with (
        script.client() as client,
        pytest.raises(ServiceUnavailable, match=r"The quota is used up; try again in \d+ s"),
    ):
        client.classify(b"a picture")
    assert (len(script.asked), clock.slept) == (1, [])


def test_a_job_is_polled_soon_even_if_retry_after_is_huge(clock: Clock) -> None:
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


def test_the_first_attempt_does_not_count_towards_the_retry_time(clock: Clock) -> None:
    # Given an upload over a slow connection that fails after more than the retry time
    def cut() -> httpx.Response:
        clock.now += 400
        raise httpx.ReadError("reset")

    script = Script(cut, accepted(), labels())
    # When a picture is classified, Then the upload is retried
    with script.client() as client:
        client.classify(b"a picture")
    assert len(script.keys) == 2
    # And if the retry fails as well, the client gives up
    script = Script(cut)
    with script.client() as client, pytest.raises(ServiceUnavailable, match="reset"):
        client.classify(b"a picture")
    assert len(script.keys) == 2


def test_the_response_timeout_of_an_upload_grows_with_the_picture() -> None:
    limits = []
    for size in (10_000, 1_000_000, 15_000_000):
        script = Script(accepted(), labels())
        with script.client() as client:
            client.classify(bytes(size))
        limits.append(script.asked[0].extensions["timeout"]["read"])
    assert limits == pytest.approx([35, 66, 163], abs=1)


def test_patience_ends(clock: Clock) -> None:
    # Given a service that has answered before and is down now
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


def test_a_least_confidence_is_part_of_the_request_and_of_its_key() -> None:
    # Given a service that finds no label which is sure enough
    script = Script(accepted(), httpx.Response(200, json={"result": {}, "model": {"name": "m", "digest": "d"}}))
    # When such a label is wanted, Then there is none, and that is no error
    with script.client() as client:
        assert client.classify(b"a picture", min_confidence=0.9, salt="salt").labels == ()
    assert script.asked[0].url.params["min_confidence"] == "0.9"
    # And the key differs from that of a request for any label
    other = Script(accepted(), labels())
    with other.client() as client:
        client.classify(b"a picture", salt="salt")
    assert "min_confidence" not in other.asked[0].url.params
    assert script.keys != other.keys


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


def test_the_message_about_an_open_job_is_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    # Given a service whose worker starts later
    note = {"id": "a" * 32, "status": "queued", "position": 1, "detail": "No worker is running; the job is kept."}
    waited = httpx.Response(202, json=note, headers={"Preference-Applied": "wait=20", "Retry-After": "1"})
    script = Script(httpx.Response(202, json=note), waited, labels())
    # When a picture is classified
    with caplog.at_level("INFO", "topthree_client"), script.client() as client:
        client.classify(b"a picture")
    # Then the message of each answer is logged
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

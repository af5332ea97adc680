"""`Client.classify_many`: an outcome for each picture, and results as Python programs read them."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.client.conftest import RECORD, Script, Service, accepted, labels, problem
from tests.support.wait import eventually
from topthree_client import Client, Label, PictureFailed, Result, ServiceUnavailable, Times


def client_of(service: Service, **options: float) -> Client:
    return Client("http://service", transport=httpx.MockTransport(service), patience_seconds=0.05, **options)


def test_each_picture_has_an_outcome_and_a_bad_one_does_not_stop_the_others() -> None:
    # Given good pictures, a bad one and a file that is not there
    pictures = [b"good 1", b"bad", "nosuch.png", b"good 2"]
    # When they are classified
    with client_of(Service()) as client:
        outcomes = sorted(client.classify_many(pictures), key=lambda outcome: outcome.index)
    # Then each has its result or its error, beside the picture
    assert [outcome.picture for outcome in outcomes] == pictures
    assert [outcome.result.label if outcome.result else None for outcome in outcomes] == ["cat", None, None, "cat"]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), PictureFailed, FileNotFoundError, type(None)]


def test_outcomes_come_while_others_are_still_open() -> None:
    # Given a service that holds one of two jobs
    may_answer, service = threading.Event(), Service()

    def hold(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and b"slow" in request.read():
            may_answer.wait(60)
        return service(request)

    with Client("http://service", transport=httpx.MockTransport(hold)) as client:
        # When both are classified, Then the other one comes first
        outcomes = client.classify_many([b"slow", b"quick"])
        assert next(outcomes).index == 1
        may_answer.set()
        assert [outcome.index for outcome in outcomes] == [0]


def test_pictures_are_taken_from_an_endless_iterator_as_they_are_needed() -> None:
    # Given more pictures than anybody waits for
    taken: list[int] = []
    before = set(threading.enumerate())

    def pictures() -> Iterator[bytes]:
        for number in range(1_000_000):
            taken.append(number)
            yield str(number).encode()

    # When only some outcomes are read
    with client_of(Service()) as client:
        outcomes = client.classify_many(pictures(), jobs=2)
        for _ in range(3):
            next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
        # Then the others are not read
        count = len(taken)
        eventually(lambda: set(threading.enumerate()) <= before, what="the end of the threads")
    assert len(taken) <= count + 2


def test_a_service_that_is_away_ends_all() -> None:
    with client_of(Service(most=2)) as client, pytest.raises(ServiceUnavailable):
        list(client.classify_many([str(number).encode() for number in range(9)]))


def test_no_pictures_have_no_outcomes() -> None:
    with client_of(Service()) as client:
        assert list(client.classify_many([])) == []


@pytest.mark.parametrize("pictures", ["a.png", b"a picture"])
def test_one_picture_instead_of_many_is_refused(pictures: str) -> None:
    with client_of(Service()) as client, pytest.raises(ValueError, match="use classify for one"):
        client.classify_many(pictures)


def test_the_number_of_jobs_is_checked() -> None:
    with client_of(Service()) as client, pytest.raises(ValueError, match="jobs must be a whole number from 1 to 64"):
        client.classify_many([b"a"], jobs=65)


def test_a_result_has_its_best_label_its_times_and_its_job() -> None:
    # Given a job that has ended
    times = {"accepted": "2026-11-27T19:00:58Z", "finished": "2026-11-27T19:01:00Z"}
    script = Script(accepted(), httpx.Response(200, json=RECORD | {"times": times}))
    # When its picture was classified
    with script.client() as client:
        result = client.classify(b"a picture")
    # Then everything is there
    assert (result.label, result.confidence, result.job_id) == ("cat", 0.7, "a" * 32)
    accepted_at, finished_at = datetime(2026, 11, 27, 19, 0, 58, tzinfo=UTC), datetime(2026, 11, 27, 19, 1, tzinfo=UTC)
    assert result.times == Times(accepted_at, None, finished_at)
    assert result.to_dict() == {
        "labels": [{"label": "cat", "confidence": 0.7}, {"label": "dog", "confidence": 0.2}],
        "model": {"name": "m", "digest": "d" * 64},
        "id": "a" * 32,
        "times": {"accepted": "2026-11-27T19:00:58+00:00", "finished": "2026-11-27T19:01:00+00:00"},
    }


def test_a_result_without_labels_has_no_best_one() -> None:
    empty = Result((), "m", "d")
    assert (empty.label, empty.confidence) == (None, None)
    assert Result((Label("cat", 0.5),), "m", "d").to_dict() == {
        "labels": [{"label": "cat", "confidence": 0.5}],
        "model": {"name": "m", "digest": "d"},
    }


def test_a_limit_of_the_client_bounds_every_wait() -> None:
    # Given a client with a limit, and jobs that do not end
    queued = httpx.Response(202, json={"id": "a", "status": "queued"}, headers={"Retry-After": "1"})
    with Script(queued).client(timeout_seconds=0.2) as client:
        # When a picture is classified or a job waited for, Then that ends
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            client.classify(b"a picture")
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            client.wait("a")
    # And each step of a request, and the retries, have the limit
    script = Script(problem(503), labels())
    with script.client(timeout_seconds=0.001) as client, pytest.raises(ServiceUnavailable):
        client.get("a")
    limits = script.asked[0].extensions["timeout"]
    assert max(limits["connect"], limits["read"], limits["write"]) <= 0.001

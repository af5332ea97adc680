"""Single jobs: `Client.get`, `Client.cancel`, `topthree get` and `topthree cancel`."""

import json
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from tests.client.conftest import RECORD, Run, Script, labels, problem, use
from topthree_client import JobGone, Label, ServiceUnavailable
from topthree_client.formats import shown_time

JOB_ID = "a" * 32
TIMES = {"accepted": "2026-11-27T19:00:58.123Z", "begun": "2026-11-27T19:00:59Z", "finished": "2026-11-27T19:01:00Z"}
SUCCEEDED = httpx.Response(200, json=RECORD | {"times": TIMES})
QUEUED = httpx.Response(202, json={"id": JOB_ID, "status": "queued", "position": 4, "detail": "No worker is running."})
FAILED = httpx.Response(
    200,
    json={"id": JOB_ID, "status": "failed", "problem": {"status": 422, "title": "T", "detail": "It is cut off."}},
)


def test_a_job_with_labels() -> None:
    # Given a job that succeeded
    with Script(SUCCEEDED).client() as client:
        job = client.get(JOB_ID)
    # Then its labels, model and times are there
    assert (job.id, job.state, job.has_ended, job.position) == (JOB_ID, "succeeded", True, None)
    assert job.result and job.result.labels == (Label("cat", 0.7), Label("dog", 0.2))
    assert job.times and job.times.accepted.isoformat() == "2026-11-27T19:00:58.123000+00:00"
    assert job.to_dict() == {
        "id": JOB_ID,
        "state": "succeeded",
        "labels": [{"label": "cat", "confidence": 0.7}, {"label": "dog", "confidence": 0.2}],
        "model": {"name": "m", "digest": "d" * 64},
        "times": {
            "accepted": "2026-11-27T19:00:58.123000+00:00",
            "begun": "2026-11-27T19:00:59+00:00",
            "finished": "2026-11-27T19:01:00+00:00",
        },
    }


def test_a_job_that_waits_and_one_that_failed() -> None:
    with Script(QUEUED, FAILED).client() as client:
        waiting, failed = client.get(JOB_ID), client.get(JOB_ID)
    assert (waiting.state, waiting.position, waiting.has_ended) == ("queued", 4, False)
    assert (waiting.detail, waiting.result, waiting.times) == ("No worker is running.", None, None)
    assert (failed.state, failed.detail, failed.has_ended) == ("failed", "It is cut off.", True)


def test_getting_a_job_does_not_wait() -> None:
    script = Script(QUEUED)
    with script.client() as client:
        client.get(JOB_ID)
    assert [request.headers["Prefer"] for request in script.asked] == ["wait=0"]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_a_time_is_shown_with_its_zone(zone: timezone) -> None:
    moment = datetime(2026, 11, 27, 19, 0, 58, 999, tzinfo=UTC).astimezone(zone)
    assert shown_time(moment) == "2026-11-27 19:00:58 UTC"


def test_an_open_job_is_canceled() -> None:
    script = Script(httpx.Response(204))
    with script.client() as client:
        assert client.cancel(JOB_ID)
    # In one request, so that the job cannot end between two.
    assert [(request.method, request.url.path) for request in script.asked] == [("POST", f"/result/{JOB_ID}/cancel")]


def test_the_result_of_a_job_that_has_ended_is_kept() -> None:
    script = Script(problem(409))
    with script.client() as client:
        assert not client.cancel(JOB_ID)
    assert "DELETE" not in [request.method for request in script.asked]


@pytest.mark.parametrize("call", ["get", "cancel"])
def test_a_job_that_is_gone_or_a_service_that_is_none(call: str) -> None:
    for answer, error in ((problem(404), JobGone), (problem(410), JobGone), (problem(401), ServiceUnavailable)):
        with Script(answer).client() as client, pytest.raises(error):
            getattr(client, call)(JOB_ID)


@pytest.mark.parametrize("call", ["get", "cancel", "wait"])
@pytest.mark.parametrize("job_id", ["", "../health/ready", "a b", "a?b", "٣", None])
def test_what_is_no_id_is_not_sent(call: str, job_id: str) -> None:
    script = Script(labels())
    with script.client() as client, pytest.raises(ValueError, match="not the id of a job"):
        getattr(client, call)(job_id)
    assert not script.asked


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (SUCCEEDED, 0, ["succeeded", "cat 70.0%", "dog 20.0%", "m (dddddddddddd)", "2026-11-27 19:01:00 UTC"]),
        (QUEUED, 1, ["queued", "position  4", "No worker is running."]),
        (FAILED, 1, ["failed", "It is cut off."]),
    ],
    ids=["succeeded", "queued", "failed"],
)
def test_get_shows_a_job(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: httpx.Response,
    code: int,
    words: list[str],
) -> None:
    use(monkeypatch, Script(answer))
    assert run("get", JOB_ID) == code
    shown = capsys.readouterr()
    assert not [word for word in words if word not in shown.out] and shown.err == ""


def test_get_as_json(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use(monkeypatch, Script(SUCCEEDED))
    assert run("get", JOB_ID, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["labels"][0] == {"label": "cat", "confidence": 0.7}


@pytest.mark.parametrize(("last", "code", "words"), [(SUCCEEDED, 0, "cat"), (FAILED, 1, "cut off")])
def test_get_waits_if_it_is_told_to(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: httpx.Response,
    code: int,
    words: str,
) -> None:
    # Given a job that ends during the second request
    waited = httpx.Response(202, json={"id": JOB_ID, "status": "running"}, headers={"Preference-Applied": "wait=20"})
    use(monkeypatch, script := Script(waited, last))
    # When it is waited for, Then its end is shown
    assert run("get", JOB_ID, "--wait") == code
    assert words in capsys.readouterr().out and len(script.asked) == 3


def test_get_waits_no_longer_than_the_timeout(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Script(QUEUED))
    assert run("get", JOB_ID, "--wait", "--timeout", "0.2") == 1
    assert "has not ended within 0.2 s" in capsys.readouterr().err


def test_cancel_names_each_job(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Given an open job, one that has ended and one that is gone
    use(monkeypatch, Script(httpx.Response(204), problem(409), problem(404, "There is no such job.")))
    # When all are canceled, Then each is named, with the outcome
    assert run("cancel", "1", "2", "3") == 1
    assert capsys.readouterr().err.splitlines() == [
        "topthree: 1: canceled",
        "topthree: 2: The job has ended; its result is kept.",
        "topthree: 3: There is no such job.",
    ]


@pytest.mark.parametrize("command", [["get", "a/b"], ["cancel", "a", "a/b"]])
def test_what_is_no_id_is_a_bad_argument(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    use(monkeypatch, script := Script(QUEUED))
    assert run(*command) == 2
    assert (
        "'a/b' is not the id of a job: an id has only digits and letters, such as " in capsys.readouterr().err
        and not script.asked
    )

"""What `POST /result/<id>/retry` answers."""

from typing import Any

import pytest

from shared.api_keys import digest_of
from shared.jobs.models import JobState
from tests.support.outcomes import fail, succeed
from tests.unit.api.conftest import Bench, make_bench

ASYNC = {"Prefer": "respond-async"}
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
OWN_FAULT = {"status": 500, "title": "Model failed", "detail": "The model could not classify this picture."}


def accept(bench: Bench, png: bytes, **headers: str) -> str:
    return str(bench.upload(png, headers={**ASYNC, **headers}).json["id"])


def failed(bench: Bench, png: bytes, **headers: str) -> str:
    """Return the id of a job that failed by a fault of the service."""
    job_id = accept(bench, png, **headers)
    fail(bench.jobs, job_id, OWN_FAULT)
    return job_id


def retry(bench: Bench, job_id: str, **headers: str) -> Any:
    return bench.http.post(f"/result/{job_id}/retry", headers=headers)


def test_a_failed_job_is_retried_as_a_new_one(bench: Bench, png: bytes) -> None:
    # Given a job that failed by a fault of the service
    job_id = failed(bench, png)
    # When it is retried
    answer = retry(bench, job_id)
    # Then there is a new job, in the queue, that says so
    new_id = answer.json["id"]
    assert answer.status_code == 202
    assert answer.json == {"id": new_id, "status": "queued", "position": 1, "retry_of": job_id}
    assert answer.headers["Location"] == f"/result/{new_id}" and "Retry-After" in answer.headers
    assert bench.published == [job_id, new_id]
    assert bench.redis.exists(f"image:{new_id}") and not bench.redis.exists(f"image:{job_id}")
    assert bench.http.get(answer.headers["Location"]).json["retry_of"] == job_id
    # And when it has succeeded, its record does too
    succeed(bench.jobs, new_id, LABELS, {})
    record = bench.http.get(answer.headers["Location"]).json
    assert (record["status"], record["retry_of"], record["result"]) == ("succeeded", job_id, LABELS)


def test_the_same_retry_again_answers_with_the_same_job(bench: Bench, png: bytes) -> None:
    job_id = failed(bench, png)
    first = retry(bench, job_id)
    assert retry(bench, job_id).json == first.json
    succeed(bench.jobs, first.json["id"], LABELS, {})
    answer = retry(bench, job_id)
    assert (answer.status_code, answer.headers["Location"]) == (202, first.headers["Location"])
    assert answer.json == {"id": first.json["id"], "status": "succeeded", "retry_of": job_id}
    assert len(bench.published) == 2


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda _bench, _job_id: None, "has not ended"),
        (lambda bench, job_id: succeed(bench.jobs, job_id, LABELS, {}), "has succeeded"),
        (lambda bench, job_id: bench.jobs.cancel(job_id), "was canceled"),
        (lambda bench, job_id: fail(bench.jobs, job_id, {"status": 422, "title": "T", "detail": "D"}), "its picture"),
    ],
)
def test_what_cannot_be_retried_answers_409_with_the_reason(bench: Bench, png: bytes, end: Any, words: str) -> None:
    job_id = accept(bench, png)
    end(bench, job_id)
    answer = retry(bench, job_id)
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert words in answer.json["detail"]


def test_a_job_whose_picture_is_gone_answers_410(png: bytes) -> None:
    bench = make_bench(failed_image_ttl_seconds=0)
    answer = retry(bench, failed(bench, png))
    assert (answer.status_code, "no longer kept" in answer.json["detail"]) == (410, True)


def test_an_id_that_never_was_answers_404(bench: Bench) -> None:
    assert retry(bench, "0" * 32).status_code == 404


def test_a_full_queue_answers_503_and_later_the_job_is_retried(bench: Bench, png: bytes) -> None:
    # Given a queue without room for one more, and a job that was retried before
    job_id, other = failed(bench, png), failed(bench, png)
    first = retry(bench, other).json["id"]
    blocking = accept(bench, png)
    # When a job is retried, Then it is refused
    answer = retry(bench, job_id)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    # And the other retry is answered as before
    assert retry(bench, other).json["id"] == first
    # And when there is room again, the job is retried
    bench.jobs.cancel(blocking)
    assert retry(bench, job_id).status_code == 202


def test_without_redis_a_retry_is_refused_and_may_be_sent_again(bench: Bench, png: bytes) -> None:
    job_id = failed(bench, png)
    bench.lose_redis()
    answer = retry(bench, job_id)
    assert (answer.status_code, "not retried twice" in answer.json["detail"]) == (503, True)


def test_a_deleted_result_leaves_no_picture(bench: Bench, png: bytes) -> None:
    job_id = failed(bench, png)
    assert bench.redis.exists(f"image:{job_id}")
    assert bench.http.delete(f"/result/{job_id}").status_code == 204
    assert not bench.redis.exists(f"image:{job_id}", "jobs:kept", "jobs:kept_bytes")
    assert retry(bench, job_id).status_code == 410


def test_only_the_owner_retries_a_job_and_owns_the_new_one(png: bytes) -> None:
    # Given a job of Alice
    bench = make_bench(api_keys=f"alice:{digest_of('a')},bob:{digest_of('b')}")
    alice, bob = {"X-API-Key": "a"}, {"X-API-Key": "b"}
    job_id = failed(bench, png, **alice)
    # When Bob retries it, Then it is unknown
    assert (retry(bench, job_id, **bob).status_code, retry(bench, job_id).status_code) == (404, 401)
    # And when she does, the new one is hers
    new_id = retry(bench, job_id, **alice).json["id"]
    assert bench.jobs.get(new_id).owner == "alice"


def test_retries_and_uploads_share_a_quota(png: bytes) -> None:
    # Given a quota of three, two of which are used for uploads
    bench = make_bench(rate_limit="3/hour")
    jobs = failed(bench, png), failed(bench, png)
    # Then there is one for a retry, and none for another one or an upload
    assert [retry(bench, job_id).status_code for job_id in jobs] == [202, 429]
    assert bench.upload(png, headers=ASYNC).status_code == 429
    # And its counter has the name that it had before there were retries
    (key,) = (key for key in bench.redis.scan_iter() if key.startswith("LIMITS"))
    assert "upload.upload" in key


def test_a_retry_keeps_what_was_asked_for(bench: Bench, png: bytes) -> None:
    query = "/upload?top=5&min_confidence=0.25&deadline=50"
    job_id = bench.http.post(query, data=png, content_type="image/png", headers=ASYNC).json["id"]
    fail(bench.jobs, job_id, OWN_FAULT)
    job = bench.jobs.get(retry(bench, job_id, **{"X-Request-ID": "again"}).json["id"])
    assert (job.state, job.top, job.min_confidence, job.request_id) == (JobState.QUEUED, 5, 0.25, "again")
    assert not bench.redis.exists("jobs:deadlines")

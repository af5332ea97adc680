"""What `POST /upload` takes, refuses and answers."""

import gzip
import json
import time
from io import BytesIO
from typing import Any

import pytest

from tests.support.outcomes import fail, succeed
from tests.support.wait import eventually
from tests.unit.api.conftest import Bench, encode, make_bench

ASYNC = {"Prefer": "respond-async"}
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}


def keys_left(bench: Bench) -> list[str]:
    return sorted(key for key in bench.redis.scan_iter() if key.startswith(("job:", "image:")))


def test_an_asynchronous_upload_is_accepted_stored_and_published(bench: Bench, png: bytes) -> None:
    # When a client that does not want to wait uploads a picture
    answer = bench.upload(png, headers=ASYNC)
    # Then it learns its job's id and where to ask
    assert answer.status_code == 202
    job_id = answer.json["id"]
    assert answer.json == {"id": job_id, "status": "queued", "position": 1}
    assert answer.headers["Location"] == f"/result/{job_id}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert int(answer.headers["Retry-After"]) >= 1
    assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-store", "Prefer")
    # And the job is there, with what its header says, its picture too, and its message was published
    job = bench.jobs.get(job_id)
    assert (job.picture.format, job.picture.width, job.picture.height, job.top) == ("PNG", 60, 40, 3)
    assert keys_left(bench) == [f"image:{job_id}", f"job:{job_id}"]
    assert bench.published == [job_id]


def test_the_raw_body_form_works_too(bench: Bench) -> None:
    answer = bench.http.post("/upload?top=5", data=encode("JPEG"), content_type="image/jpeg", headers=ASYNC)
    assert answer.status_code == 202
    assert bench.jobs.get(answer.json["id"]).top == 5


@pytest.mark.parametrize(
    "content_type",
    [
        *("image/png", "image/jpeg", "image/jpg", "image/heic", "image/x-unknown", "IMAGE/PNG"),
        *(None, "", "nonsense", "application/octet-stream", "binary/octet-stream", "text/plain; charset=utf-8"),
        # The default of `curl --data-binary`.
        "application/x-www-form-urlencoded",
    ],
)
def test_a_raw_body_of_any_content_type_is_accepted(bench: Bench, png: bytes, content_type: str | None) -> None:
    answer = bench.http.post("/upload", data=png, content_type=content_type, headers=ASYNC)
    assert answer.status_code == 202


def test_a_plain_upload_waits_and_answers_the_original_shape(bench: Bench, png: bytes) -> None:
    # Given a worker
    with bench.worker(lambda job_id: succeed(bench.jobs, job_id, LABELS, {})):
        # When a client of the original program uploads a picture
        answer = bench.upload(png)
    # Then it gets what it always got
    assert (answer.status_code, answer.json) == (200, LABELS)
    assert answer.headers["Location"].startswith("/result/")


@pytest.mark.parametrize(("status", "title"), [(422, "Picture cannot be decoded"), (500, "Model failed")])
def test_a_failed_job_answers_its_problem(bench: Bench, png: bytes, status: int, title: str) -> None:
    problem = {"status": status, "title": title, "detail": "Why."}
    with bench.worker(lambda job_id: fail(bench.jobs, job_id, problem)):
        answer = bench.upload(png)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert (answer.json["title"], answer.json["error"]) == (title, "Why.")


def test_a_canceled_job_answers_410(bench: Bench, png: bytes) -> None:
    with bench.worker(bench.jobs.cancel):
        assert bench.upload(png).status_code == 410


def test_an_old_client_gets_504_when_the_wait_is_over_and_the_job_goes_on(bench: Bench, png: bytes) -> None:
    # Given no worker, When an old client's default wait is over
    answer = bench.upload(png)
    # Then it must not take the answer for a result
    assert answer.status_code == 504
    # And the job is where the Location says
    assert bench.http.get(answer.headers["Location"]).status_code == 202


def test_a_client_that_named_its_wait_gets_202_when_it_is_over(bench: Bench, png: bytes) -> None:
    answer = bench.upload(png, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_without_a_place_to_wait_plain_uploads_are_refused_and_others_accepted(png: bytes) -> None:
    # Given an API whose only place to wait is taken
    bench = make_bench(max_waiters=1)
    with bench.waiters.slot(wanted=True) as taken:
        assert taken
        # Then a plain upload is refused with nothing left behind
        refused = bench.upload(png)
        assert (refused.status_code, keys_left(bench)) == (503, [])
        assert int(refused.headers["Retry-After"]) >= 1
        # And whoever understands 202 is accepted
        for prefer in ("respond-async", "wait=30"):
            answer = bench.upload(png, headers={"Prefer": prefer})
            assert answer.status_code == 202
            assert "wait" not in answer.headers.get("Preference-Applied", "")


def test_without_a_place_to_wait_a_retry_that_may_wait_gets_the_job_that_it_joins(png: bytes) -> None:
    # Given a job, and an API whose only place to wait is taken
    bench = make_bench(max_waiters=1)
    first = bench.upload(png, headers={"Prefer": "respond-async", "Idempotency-Key": "k"})
    with bench.waiters.slot(wanted=True):
        # When a client that may wait for it sends it again, Then it gets the job, and no time-out
        again = bench.upload(png, headers={"Prefer": "wait=5", "Idempotency-Key": "k"})
    assert (again.status_code, again.json["id"]) == (202, first.json["id"])


def test_a_full_queue_refuses_and_leaves_nothing(bench: Bench, png: bytes) -> None:
    # Given a queue with as many jobs as are admitted
    for _ in range(2):
        assert bench.upload(png, headers=ASYNC).status_code == 202
    before = keys_left(bench)
    # When one more comes
    answer = bench.upload(png, headers=ASYNC)
    # Then it is told why, and when to come back
    assert answer.status_code == 503
    assert answer.json["error"] == "The queue is full: 2 jobs are open; the limit is 2. Try again later."
    assert int(answer.headers["Retry-After"]) >= 1
    assert keys_left(bench) == before


def test_pictures_that_take_too_many_bytes_are_refused_as_such(png: bytes) -> None:
    # Given a queue that has room for the bytes of one picture
    bench = make_bench(max_stored_bytes=len(png) + 1)
    assert bench.upload(png, headers=ASYNC).status_code == 202
    # When one more comes, Then it is told that bytes are short
    answer = bench.upload(png, headers=ASYNC)
    assert (
        answer.status_code,
        "the pictures of open jobs take 0.0 MiB; the limit is 0.0 MiB" in answer.json["error"],
    ) == (503, True)


def test_a_picture_that_never_fits_is_refused_for_good_and_leaves_nothing(png: bytes) -> None:
    # Given a service that stores fewer bytes than a picture has
    bench = make_bench(max_stored_bytes=len(png) - 1)
    # When the picture is uploaded, Then it is told so, and not to come back
    answer = bench.upload(png, headers=ASYNC)
    assert (answer.status_code, "Retry-After" in answer.headers) == (413, False), answer.json
    assert answer.json["error"].startswith("This picture can never be accepted") and not keys_left(bench)
    # And a smaller one is accepted
    assert bench.upload(encode("PNG", size=(8, 8)), headers=ASYNC).status_code == 202


def test_a_wait_of_less_than_a_second_is_refused_only_in_vain(bench: Bench, png: bytes) -> None:
    # Given a wait of 0.05 s, and a job that takes about 0.02
    assert bench.upload(png, headers=ASYNC).status_code == 202
    # When another plain upload comes, Then it is let in and waits
    assert bench.upload(png).status_code == 504


def test_a_redis_that_is_away_answers_503_and_a_time_to_come_back(bench: Bench, png: bytes) -> None:
    bench.lose_redis()
    answer = bench.upload(png)
    assert answer.status_code == 503
    assert answer.json["error"] and int(answer.headers["Retry-After"]) >= 1


def test_a_full_queue_closes_the_gate_for_a_moment(bench: Bench, png: bytes) -> None:
    # Given a full queue that was found full
    for _ in range(2):
        bench.upload(png, headers=ASYNC)
    assert bench.admission_control.refusal() is None
    bench.upload(png, headers=ASYNC)
    # Then admission control knows it without asking, for a moment
    refusal = bench.admission_control.refusal()
    assert refusal is not None and refusal.retry_after_seconds >= 1
    eventually(lambda: bench.admission_control.refusal() is None, 5)


def test_a_redis_that_is_nearly_full_takes_no_more(bench: Bench, png: bytes) -> None:
    # Given a Redis with a limit of memory, of which the workers need the rest
    bench.redis.answer = {"used_memory": 95, "maxmemory": 100}
    # Then uploads are refused
    answer = bench.upload(png, headers=ASYNC)
    assert (answer.status_code, keys_left(bench)) == (503, [])
    # And the reason is not a full queue
    assert answer.json["error"] == "Redis is short of memory. Try again later."


def test_a_redis_that_evicts_takes_no_more(bench: Bench, png: bytes) -> None:
    # Given an upload with a key, and then a Redis that was told to drop keys when its memory is full
    key = {**ASYNC, "Idempotency-Key": "abc"}
    assert bench.upload(png, headers=key).status_code == 202
    bench.redis.answer = {"used_memory": 5, "maxmemory": 100, "maxmemory_policy": "allkeys-lru"}
    # When pictures come, also as a retry, Then they are refused with the reason, at its next look
    refused = eventually(lambda: answered(bench, png, 503, ASYNC), 5, "a refusal")
    assert "allkeys-lru" in refused.json["error"] and int(refused.headers["Retry-After"]) >= 1
    before = keys_left(bench)
    assert bench.upload(png, headers=key).status_code == 503
    assert bench.upload(png, headers=ASYNC).status_code == 503
    assert keys_left(bench) == before
    # And as soon as it is set right they are taken
    bench.redis.answer = {"used_memory": 5, "maxmemory": 100, "maxmemory_policy": "noeviction"}
    eventually(lambda: answered(bench, png, 202, ASYNC), 5, "an upload that is taken")


def answered(bench: Bench, data: bytes, status: int, headers: dict[str, str]) -> Any:
    answer = bench.upload(data, headers=headers)
    if answer.status_code == 202:
        bench.http.delete(answer.headers["Location"])
    return answer if answer.status_code == status else None


def test_a_store_that_breaks_off_may_have_accepted_the_picture(bench: Bench, png: bytes) -> None:
    # Given a Redis that is away, When an upload fails, Then its client learns that it may have been accepted
    bench.lose_redis()
    told = bench.upload(png).json["error"]
    assert "may have been accepted" in told and "Idempotency-Key" in told
    # And who asks for a result learns no such thing
    assert "accepted" not in bench.http.get("/result/" + 32 * "0").json["error"]


def test_who_would_wait_in_vain_is_refused_at_once_and_others_are_taken(bench: Bench, png: bytes) -> None:
    # Given a queue that drains at a job in ten seconds
    bench.redis.hset("jobs:drain", mapping={"interval_ms": 10_000, "finished_ms": int(time.time() * 1000)})
    assert bench.upload(png, headers=ASYNC).status_code == 202
    # When a client wants its answer within the wait, Then it is told to come back
    refused = bench.upload(png)
    assert (refused.status_code, "would take about 10 s" in refused.json["error"]) == (503, True)
    assert int(refused.headers["Retry-After"]) >= 9
    # And a client that polls is taken
    assert bench.upload(png, headers=ASYNC).status_code == 202


def test_a_retry_with_the_same_key_joins_the_first_job(bench: Bench, png: bytes) -> None:
    # Given an upload with a key
    headers = {**ASYNC, "Idempotency-Key": "abc"}
    first = bench.upload(png, headers=headers)
    # When it comes again, Then it is the same job, published once
    again = bench.upload(png, headers=headers)
    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert len(bench.published) == 1
    assert keys_left(bench) == [f"image:{first.json['id']}", f"job:{first.json['id']}"]
    # And when the job has ended, it gets the answer
    succeed(bench.jobs, first.json["id"], LABELS, {})
    assert bench.upload(png, headers=headers).json == {"id": first.json["id"], "status": "succeeded"}
    assert bench.upload(png, headers={"Idempotency-Key": "abc"}).json == LABELS


@pytest.mark.parametrize("change", ["picture", "top", "min_confidence"])
def test_a_key_with_another_request_is_refused(bench: Bench, png: bytes, change: str) -> None:
    headers = {**ASYNC, "Idempotency-Key": "abc"}
    bench.upload(png, headers=headers)
    before = keys_left(bench)
    other = encode("BMP") if change == "picture" else png
    answer = bench.http.post(
        "/upload",
        query_string={"top": {"top": "5"}, "min_confidence": {"min_confidence": "0.5"}}.get(change, {}),
        data=other,
        headers=headers,
        content_type="image/png",
    )
    assert (answer.status_code, keys_left(bench)) == (422, before)
    assert "Idempotency-Key" in answer.json["error"]


def test_a_key_that_is_too_long_is_refused(bench: Bench, png: bytes) -> None:
    assert bench.upload(png, headers={"Idempotency-Key": "x" * 256}).status_code == 400


def test_a_deadline_is_kept_with_the_job(bench: Bench, png: bytes) -> None:
    answer = bench.http.post("/upload?deadline=5", data=png, content_type="image/png", headers=ASYNC)
    record = bench.redis.hgetall(f"job:{answer.json['id']}")
    assert int(record["deadline_ms"]) - int(record["accepted_ms"]) == 5000


def test_an_expired_job_answers_410(bench: Bench, png: bytes) -> None:
    with bench.worker(lambda job_id: bench.jobs.expire_all([job_id])):
        answer = bench.http.post("/upload?deadline=5", data=png, content_type="image/png")
    assert (answer.status_code, "deadline" in answer.json["error"]) == (410, True)


def multipart(name: str, data: bytes) -> dict[str, Any]:
    return {"data": {name: (BytesIO(data), "x.jpg")}}


TOO_LARGE = "The upload is too large: a picture may have at most 0.05 MiB."
URL_ENCODED = {"content_type": "application/x-www-form-urlencoded"}
REFUSED = {
    "no body": ({}, 400, "No image provided"),
    "empty raw body": ({"data": b"", "content_type": "image/png"}, 400, "empty"),
    "fields of an HTML form without enctype": (
        {"data": "image=photo.jpg", **URL_ENCODED},
        400,
        'enctype="multipart/form-data"',
    ),
    "a picture damaged by curl's -d": (
        {"data": encode("PNG").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""), **URL_ENCODED},
        400,
        "--data-binary",
    ),
    "JSON without its Content-Type": (
        {"data": '{"image": "eA=="}', **URL_ENCODED},
        400,
        "`Content-Type: application/json`",
    ),
    "a PDF without a Content-Type of its own": ({"data": b"%PDF-1.7\n%\xe2\xe3", **URL_ENCODED}, 415, "JPEG, PNG"),
    "a compressed picture": (
        {"data": gzip.compress(encode("PNG")), "headers": {"Content-Encoding": "gzip"}, "content_type": "image/png"},
        415,
        "`Content-Encoding: gzip`",
    ),
    "a compressed form": (
        {"data": b"x", "headers": {"Content-Encoding": "br"}, "content_type": "multipart/form-data; boundary=x"},
        415,
        "`Content-Encoding: br`",
    ),
    "raw text without a Content-Type": ({"data": b"hello"}, 415, "JPEG, PNG"),
    "text named .jpg": (multipart("image", b"hello, world"), 415, "JPEG, PNG"),
    "raw text as jpeg": ({"data": b"hello", "content_type": "image/jpeg"}, 415, "JPEG, PNG"),
    "too many bytes": (multipart("image", b"\xff\xd8" * 30_000), 413, TOO_LARGE),
    "far too many bytes": (multipart("image", b"\xff\xd8" * 90_000), 413, TOO_LARGE),
    "too many raw bytes": ({"data": b"\xff" * 50_001, "content_type": "image/png"}, 413, TOO_LARGE),
    "too many pixels": (
        multipart("image", encode("PNG", (200, 100))),
        413,
        "This picture is 200 × 100 (0.02 megapixels); the limit is 0.01 megapixels.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_upload_is_refused_with_a_sentence_and_leaves_nothing(bench: Bench, name: str) -> None:
    request, status, sentence = REFUSED[name]
    answer = bench.http.post("/upload", **request)
    assert answer.status_code == status
    body = json.loads(answer.data)
    assert answer.content_type == "application/problem+json"
    assert body["status"] == status and sentence in body["error"] == body["detail"]
    assert keys_left(bench) == [] and bench.published == []


@pytest.mark.parametrize(
    "top", ["0", "11", "-1", "x", "", "1e1", "٣", "3" * 5000, "00000000199", "000000001" + "0" * 5000]
)
def test_a_number_out_of_range_is_refused(bench: Bench, png: bytes, top: str) -> None:
    answer = bench.http.post("/upload", query_string={"top": top}, data=png, content_type="image/png")
    assert (answer.status_code, "from 1 to 10" in answer.json["error"]) == (400, True)


@pytest.mark.parametrize(("least", "places"), [("0", 3), (".3", 2), ("0.5", 1), ("5e-1", 1), ("0.51", 0), ("1", 0)])
def test_labels_below_the_wanted_confidence_are_left_out(bench: Bench, png: bytes, least: str, places: int) -> None:
    # Given a job whose worker found three labels
    labels = {
        f"prediction_{place}": {"confidence_level": share, "predicted_label": f"label {place}"}
        for place, share in enumerate((0.5, 0.3, 0.2), start=1)
    }
    wanted = {name: labels[name] for name in list(labels)[:places]}
    with bench.worker(lambda job_id: succeed(bench.jobs, job_id, labels, {})):
        # When a client wants a least confidence, Then the answer has only the labels that reach it
        answer = bench.http.post("/upload", query_string={"min_confidence": least}, data=png, content_type="image/png")
    assert (answer.status_code, answer.json) == (200, wanted)
    # And so has the record
    assert bench.http.get(answer.headers["Location"]).json["result"] == wanted


@pytest.mark.parametrize("least", ["", "-0.1", "1.01", "x", "nan", "inf", "0_1", ".", "1e", " 1", "0," + "5", "0" * 33])
def test_a_confidence_out_of_range_is_refused(bench: Bench, png: bytes, least: str) -> None:
    answer = bench.http.post("/upload", query_string={"min_confidence": least}, data=png, content_type="image/png")
    assert answer.status_code == 400
    assert answer.json["detail"] == "`min_confidence` must be a number from 0 to 1, such as 0.25."

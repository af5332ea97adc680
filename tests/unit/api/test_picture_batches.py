"""Batches over HTTP: opened, filled, closed, followed, read, canceled."""

import csv
import hashlib
import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from api import batch_form
from shared.api_keys import digest_of
from shared.jobs.deliveries import Deliveries
from shared.jobs.queue import Queue
from tests.support.claims import claim_next
from tests.support.outcomes import fail, succeed
from tests.support.webhook_receiver import SECRET
from tests.unit.api.conftest import Bench, encode, make_bench
from topthree_client import batch_form as client_form

LABELS = {
    "prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"},
    "prediction_2": {"confidence_level": 0.25, "predicted_label": "dog"},
}
MODEL = {"name": "m", "digest": "d"}
PROBLEM = {"status": 422, "title": "Picture cannot be decoded", "detail": "It is damaged."}
NO_COUNTS = {"added": 0, "open": 0, "succeeded": 0, "failed": 0, "canceled": 0, "expired": 0}
PNG = encode("PNG")


@pytest.fixture
def bench() -> Bench:
    return make_bench(max_image_bytes=50_000, max_image_pixels=10_000, max_open_jobs=3, wait_seconds=0.05)


def open_batch(bench: Bench, **options: Any) -> str:
    """Open a batch and return its path."""
    answer = bench.http.post("/batches", json=options) if options else bench.http.post("/batches")
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/batches/{answer.json['id']}"
    return str(answer.headers["Location"])


def add(bench: Bench, path: str, *pictures: tuple[str, bytes], **options: Any) -> Any:
    """Send the pictures in a form; that of Werkzeug's test client has no place for empty ones."""
    head = 'Content-Disposition: form-data; name="image"; filename="'
    parts = [f'--x\r\n{head}{name}"\r\n\r\n'.encode() + data + b"\r\n" for name, data in pictures]
    body = b"".join(parts) + b"--x--\r\n"
    return bench.http.post(f"{path}/images", data=body, content_type="multipart/form-data; boundary=x", **options)


def close(bench: Bench, path: str) -> Any:
    return bench.http.patch(path, json={"status": "closed"})


def lines(bench: Bench, path: str, after: int = 0) -> list[dict[str, Any]]:
    answer = bench.http.get(f"{path}/results?after={after}")
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_batch_from_its_first_picture_to_its_results(bench: Bench) -> None:
    # Given a batch with two pictures
    path = open_batch(bench)
    assert bench.http.get(path).json["counts"] == NO_COUNTS
    added = add(bench, path, ("a.png", PNG), ("b.png", encode("JPEG")))
    assert added.status_code == 200, added.text
    images = added.json["images"]
    assert [each["name"] for each in images] == ["a.png", "b.png"]
    # When a worker has ended them, and the batch is closed
    claimed = [claim_next(bench.jobs) for _ in images]
    assert [(each.job.id, each.picture) for each in claimed if each] == [
        (images[0]["id"], PNG),
        (images[1]["id"], encode("JPEG")),
    ]
    succeed(bench.jobs, images[0]["id"], LABELS, MODEL)
    assert close(bench, path).json["status"] == "closed"
    fail(bench.jobs, images[1]["id"], PROBLEM)
    # Then it is completed
    state = bench.http.get(path).json
    assert state["status"] == "completed"
    assert state["counts"] == {**NO_COUNTS, "added": 2, "succeeded": 1, "failed": 1}
    assert set(state["times"]) == {"opened", "closed", "finished"}
    # And its results are there, also after the last one that a client has
    first = {"number": 1, **images[0], "status": "succeeded", "result": LABELS, "model": MODEL}
    second = {"number": 2, **images[1], "status": "failed", "problem": {"type": "about:blank", **PROBLEM}}
    assert lines(bench, path) == [first, second]
    assert lines(bench, path, after=1) == [second]
    assert lines(bench, path, after=2) == []
    # And each picture is a job of its own
    assert bench.http.get(f"/result/{images[0]['id']}").json["result"] == LABELS


def test_options_hold_for_every_picture(bench: Bench) -> None:
    path = open_batch(bench, top=1, min_confidence=0.3)
    job = bench.jobs.get(add(bench, path, ("a.png", PNG)).json["images"][0]["id"])
    assert (job.top, job.min_confidence) == (1, 0.3)


BAD_OPTIONS: dict[str, Any] = {
    "no JSON": b"{",
    "a list": b"[]",
    "too deep": b"[" * 16_000,
    "bad UTF-8": b'{"top": "\xff"}',
    "top of 0": {"top": 0},
    "top of 11": {"top": 11},
    "a boolean": {"top": True},
    "half a label": {"top": 1.5},
    "a text": {"top": "3"},
    "nothing": {"top": None},
    "a misspelt option": {"web_hook": "https://example.org/"},
    "a confidence above 1": {"min_confidence": 1.5},
    "NaN": b'{"min_confidence": NaN}',
    "a confidence in words": {"min_confidence": "0.5"},
    "a webhook while they are off": {"webhook": "https://example.org/"},
    "a webhook that is no text": {"webhook": 5},
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_are_refused(bench: Bench, name: str) -> None:
    given = BAD_OPTIONS[name]
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    answer = bench.http.post("/batches", data=body, content_type="application/json")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert not list(bench.redis.scan_iter("batch:*"))


def test_options_that_are_too_long_are_refused(bench: Bench) -> None:
    assert bench.http.post("/batches", data=b" " * 20_000).status_code == 413


def test_broken_pictures_are_told_by_name_and_harm_no_other(bench: Bench) -> None:
    path = open_batch(bench)
    # When a request has broken pictures among good ones
    answer = add(
        bench,
        path,
        ("empty.png", b""),
        ("good.png", PNG),
        ("text.png", b"hello"),
        ("large.png", PNG + b"\0" * 50_000),
        ("wide.png", encode("PNG", (200, 100))),
        ("fine.png", PNG),
    )
    # Then each of them has its problem, in the order of the request
    images = answer.json["images"]
    assert [(each["name"], each.get("problem", {}).get("status")) for each in images] == [
        ("empty.png", 400),
        ("good.png", None),
        ("text.png", 415),
        ("large.png", 413),
        ("wide.png", 413),
        ("fine.png", None),
    ]
    assert "megapixels" in images[4]["problem"]["detail"]
    # And the others are jobs
    assert bench.published == [images[1]["id"], images[5]["id"]]
    assert bench.http.get(path).json["counts"]["added"] == 2


def test_a_request_with_broken_pictures_only(bench: Bench) -> None:
    path = open_batch(bench)
    assert "problem" in add(bench, path, ("x", b"x")).json["images"][0]
    assert bench.http.get(path).json["counts"] == NO_COUNTS


@pytest.mark.parametrize("name", ["Äpfel/写真.jpg", "", "x" * 1000, "=cmd|' /C calc'", "a\tb"])
def test_names_are_kept(bench: Bench, name: str) -> None:
    path = open_batch(bench)
    answer = add(bench, path, (name, PNG))
    assert answer.status_code == 200, answer.text
    assert answer.json["images"][0]["name"] == name


def test_a_name_that_is_sent_in_the_long_form_is_kept(bench: Bench) -> None:
    # Given a part whose name is only in `filename*`
    path = open_batch(bench)
    part = b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename*=UTF-8''%E5%86%99.png\r\n\r\n"
    body = part + PNG + b"\r\n--x--\r\n"
    # When it is added, Then it has this name
    answer = bench.http.post(f"{path}/images", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.json["images"][0]["name"] == "写.png"


def test_names_that_the_client_sends_are_kept_as_they_are() -> None:
    bench = make_bench(max_open_jobs=100)
    # Given names that are hard to write into a form, the last as long as any
    names = ["back\\slash.png", "a\tb.png", "a%0Ab.png", "a%22b.png", 'a"b.png', "new\nline.png", "", "🐈" * 1024]
    form = client_form.batch_form([client_form.NamedBytes(name, PNG) for name in names], "salt")
    # When the client's form is added, Then the batch has them
    answer = bench.http.post(f"{open_batch(bench)}/images", data=form.body, content_type=form.content_type)
    assert [image["name"] for image in answer.json["images"]] == names


def test_for_want_of_room_none_is_accepted(bench: Bench) -> None:
    # Given room for two
    path = open_batch(bench)
    job_id = add(bench, path, ("first.png", PNG)).json["images"][0]["id"]
    # When three come, Then none is accepted, and nothing of them is left
    three = [(f"{n}.png", PNG) for n in range(3)]
    answer = add(bench, path, *three)
    assert (answer.status_code, "None was accepted" in answer.json["detail"]) == (503, True)
    assert int(answer.headers["Retry-After"]) >= 1
    assert [*bench.redis.scan_iter("image:*"), *bench.redis.scan_iter("job:*")] == [f"image:{job_id}", f"job:{job_id}"]
    # And they are later, after which the queue is full
    bench.jobs.cancel(job_id)
    assert add(bench, path, *three).status_code == 200
    assert add(bench, path, ("x.png", PNG)).status_code == 503


def test_what_would_never_have_room_is_refused_for_good(bench: Bench) -> None:
    # Given a service that takes three jobs
    path = open_batch(bench)
    # When four pictures come at once, Then nobody is told to try again
    answer = add(bench, path, *[(f"{n}.png", PNG) for n in range(4)])
    assert (answer.status_code, "takes 3 jobs" in answer.json["detail"]) == (413, True)
    assert "Retry-After" not in answer.headers
    assert not [*bench.redis.scan_iter("image:*"), *bench.redis.scan_iter("job:*")]


def test_a_repeated_request_is_answered_alike_and_adds_nothing(bench: Bench) -> None:
    path = open_batch(bench)
    key = {"Idempotency-Key": "first hundred"}
    pictures = [("a.png", PNG), ("broken.png", b"x"), ("b.png", PNG)]
    # When a request is repeated, also when the queue is full or the batch is closed
    first = add(bench, path, *pictures, headers=key)
    assert add(bench, path, *pictures, headers=key).json == first.json
    add(bench, path, ("c.png", PNG))
    assert add(bench, path, *pictures, headers=key).json == first.json
    close(bench, path)
    assert add(bench, path, *pictures, headers=key).json == first.json
    # Then nothing was added
    assert bench.http.get(path).json["counts"]["added"] == 3
    assert len(list(bench.redis.scan_iter("image:*"))) == 3
    # And the key is refused for other pictures, but not in another batch
    assert add(bench, path, *pictures[:1], headers=key).status_code == 422
    other = open_batch(bench)
    assert add(bench, other, ("x", b"broken"), headers=key).status_code == 200


def test_a_closed_batch_takes_no_more(bench: Bench) -> None:
    path = open_batch(bench)
    assert close(bench, path).json["status"] == "completed"
    assert close(bench, path).status_code == 200
    answer = add(bench, path, ("a.png", PNG))
    assert (answer.status_code, "closed" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"status": "open"}', b'{"status": 5}', b"closed"])
def test_a_batch_can_only_be_closed(bench: Bench, body: bytes) -> None:
    path = open_batch(bench)
    assert bench.http.patch(path, data=body, content_type="application/json").status_code == 400
    assert bench.http.get(path).json["status"] == "open"


FORMS: dict[str, tuple[bytes, str, int]] = {
    "no form": (PNG, "image/png", 415),
    "JSON": (b"{}", "application/json", 415),
    "no boundary": (b"", "multipart/form-data", 400),
    "cut off": (
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc',
        "multipart/form-data; boundary=x",
        400,
    ),
    "no picture": (
        b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nabc\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        400,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_cannot_be_read_adds_nothing(bench: Bench, name: str) -> None:
    path = open_batch(bench)
    body, content_type, status = FORMS[name]
    answer = bench.http.post(f"{path}/images", data=body, content_type=content_type)
    assert answer.status_code == status, answer.text
    assert bench.http.get(path).json["counts"] == NO_COUNTS


def test_more_pictures_or_bytes_than_a_request_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench()
    path = open_batch(bench)
    # Given a hundred pictures, Then they are accepted, and one more is not
    hundred = [(f"{n}.png", PNG) for n in range(100)]
    assert len(add(bench, path, *hundred).json["images"]) == 100
    answer = add(bench, path, *hundred, ("one more.png", PNG))
    assert (answer.status_code, "more than 100 pictures" in answer.json["detail"]) == (400, True)
    # And so with bytes
    monkeypatch.setattr(batch_form, "MOST_BYTES", 10_000)
    answer = add(bench, path, ("a.png", b"x" * 10_000))
    assert (answer.status_code, "64 MiB" in answer.json["detail"]) == (413, True)
    assert bench.http.get(path).json["counts"]["added"] == 100


def test_batches_of_other_keys_are_unknown() -> None:
    bench = make_bench(api_keys=f"alice:{digest_of('a')},bob:{digest_of('b')}")
    alice, bob = {"X-API-Key": "a"}, {"X-API-Key": "b"}
    # Given a batch of Alice's
    path = bench.http.post("/batches", headers=alice).headers["Location"]
    assert add(bench, path, ("a.png", PNG), headers=alice).status_code == 200
    # Then Bob learns nothing of it, and cannot change it
    form = {"data": {"image": (BytesIO(PNG), "a.png")}}
    for method, where, options in (
        ("GET", path, {}),
        ("GET", f"{path}/results", {}),
        ("POST", f"{path}/images", form),
        ("PATCH", path, {"json": {"status": "closed"}}),
        ("DELETE", path, {}),
    ):
        answer = bench.http.open(where, method=method, headers=bob, **options)
        assert (answer.status_code, answer.json["detail"]) == (404, "There is no batch with this id.")
    assert bench.http.get(path).status_code == 401
    # And her pictures are hers
    job_id = bench.published[0]
    assert bench.http.get(f"/result/{job_id}", headers=bob).status_code == 404
    assert bench.http.get(f"/result/{job_id}", headers=alice).status_code == 202
    assert bench.http.get(path, headers=alice).json["status"] == "open"


def test_every_picture_counts_towards_the_quota() -> None:
    bench = make_bench(rate_limit="4/hour")
    path = open_batch(bench)
    # Given room for three more, When four come, Then none is accepted, and none is counted but the request
    answer = add(bench, path, *[(f"{n}.png", PNG) for n in range(4)])
    assert (answer.status_code, "4 per hour" in answer.json["detail"]) == (429, True)
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["X-RateLimit-Remaining"] == "2"
    assert bench.published == []
    # And more than the quota could ever allow are told so
    answer = add(bench, path, *[(f"{n}.png", PNG) for n in range(5)])
    assert (answer.status_code, "Send at most 4 at once" in answer.json["detail"]) == (429, True)
    bench = make_bench(rate_limit="3/hour")
    path = open_batch(bench)
    # And two are accepted, after which nothing is left
    answer = add(bench, path, ("a.png", PNG), ("b.png", PNG))
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (200, "0")
    assert bench.upload(PNG).status_code == 429


def test_a_canceled_batch_is_forgotten_but_for_its_state(bench: Bench) -> None:
    # Given a batch with a picture that has ended and one that has not
    path = open_batch(bench)
    images = add(bench, path, ("a.png", PNG), ("b.png", PNG)).json["images"]
    succeed(bench.jobs, images[0]["id"], LABELS, MODEL)
    # When it is canceled, twice
    assert bench.http.delete(path).status_code == 204
    assert bench.http.delete(path).status_code == 204
    # Then it says so, and its jobs, pictures and results are gone
    state = bench.http.get(path).json
    assert (state["status"], state["counts"]["canceled"]) == ("canceled", 1)
    assert bench.http.get(f"{path}/results").status_code == 410
    assert {bench.http.get(f"/result/{each['id']}").status_code for each in images} == {410}
    assert not [*bench.redis.scan_iter("image:*"), *bench.redis.scan_iter("job:*"), *bench.redis.scan_iter("batch:*:*")]
    assert bench.jobs.backlog.read().open_jobs == 0
    # And it takes no more pictures and cannot be closed
    assert add(bench, path, ("c.png", PNG)).status_code == 409
    assert close(bench, path).status_code == 409


def test_a_completed_batch_that_is_deleted_is_gone(bench: Bench) -> None:
    path = open_batch(bench)
    close(bench, path)
    assert bench.http.delete(path).status_code == 204
    assert bench.http.get(path).status_code == bench.http.get(f"{path}/results").status_code == 410
    assert add(bench, path, ("c.png", PNG)).status_code == 410
    assert bench.http.delete(path).status_code == 204


def test_a_client_waits_for_the_end(bench: Bench) -> None:
    path = open_batch(bench)
    job_id = add(bench, path, ("a.png", PNG)).json["images"][0]["id"]
    # Given a client that waits in vain
    answer = bench.http.get(path, headers={"Prefer": "wait=1"})
    assert (answer.json["status"], answer.headers["Preference-Applied"]) == ("open", "wait=1")
    # When the batch has ended, Then it does not wait
    close(bench, path)
    bench.jobs.cancel(job_id)
    answer = bench.http.get(path, headers={"Prefer": "wait=50"})
    assert answer.json["status"] == "completed"


def test_results_as_csv(bench: Bench) -> None:
    # Given pictures whose names look like formulas
    path = open_batch(bench, top=2)
    names = ["=1+1.png", "+a.png", "@b, c.png"]
    images = add(bench, path, *[(name, PNG) for name in names]).json["images"]
    succeed(bench.jobs, images[0]["id"], LABELS, MODEL)
    succeed(bench.jobs, images[1]["id"], {}, MODEL)
    fail(bench.jobs, images[2]["id"], PROBLEM)
    # When they are read as CSV
    answer = bench.http.get(f"{path}/results", headers={"Accept": "text/csv"})
    assert answer.content_type.startswith("text/csv")
    # Then no cell begins like a formula
    assert list(csv.DictReader(StringIO(answer.text, newline=""))) == [
        dict(zip(header(), row, strict=True))
        for row in (
            ["1", "'=1+1.png", images[0]["id"], "succeeded", "cat", "0.5", "dog", "0.25", ""],
            ["2", "'+a.png", images[1]["id"], "succeeded", "", "", "", "", ""],
            [
                "3",
                "'@b, c.png",
                images[2]["id"],
                "failed",
                "",
                "",
                "",
                "",
                "Picture cannot be decoded: It is damaged.",
            ],
        )
    ]
    # And what comes after has no header, so that it can be appended
    more = bench.http.get(f"{path}/results?after=2", headers={"Accept": "text/csv"})
    assert answer.text.endswith(more.text) and more.text.count("\n") == 1


def header() -> list[str]:
    return ["number", "name", "id", "status", "label_1", "confidence_1", "label_2", "confidence_2", "problem"]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 20, ""])
def test_a_bad_cursor_is_refused(bench: Bench, after: str) -> None:
    assert bench.http.get(f"{open_batch(bench)}/results?after={after}").status_code == 400


def test_cached_results_end_at_once(bench: Bench) -> None:
    # Given a picture whose result is cached
    bench.worker_beats()
    bench.redis.set(
        f"cache:litert-1:d:{hashlib.sha256(PNG).hexdigest()}", json.dumps({"result": LABELS, "model": MODEL})
    )
    # When it comes in a batch, Then it has ended, and is in no queue
    path = open_batch(bench, top=1)
    add(bench, path, ("a.png", PNG))
    assert bench.published == []
    assert close(bench, path).json["status"] == "completed"
    (line,) = lines(bench, path)
    assert (line["result"], line["model"]) == ({"prediction_1": LABELS["prediction_1"]}, MODEL)


def test_the_end_of_a_batch_is_sent_once() -> None:
    bench = make_bench(webhook_secret=SECRET, webhook_allowed_hosts="hooks.internal")
    path = open_batch(bench, webhook="http://hooks.internal/x")
    job_id = add(bench, path, ("a.png", PNG)).json["images"][0]["id"]
    close(bench, path)
    succeed(bench.jobs, job_id, LABELS, MODEL)
    (delivery,) = Deliveries(bench.redis, Queue()).claim(10)
    assert (delivery.url, f"/batches/{delivery.subject.id}") == ("http://hooks.internal/x", path)


def test_while_redis_is_away_the_answer_says_so(bench: Bench) -> None:
    path = open_batch(bench)
    bench.lose_redis()
    answer = add(bench, path, ("a.png", PNG))
    assert (answer.status_code, "may have been accepted" in answer.json["detail"]) == (503, True)
    assert bench.http.post("/batches").status_code == 503


def test_open_batches_are_counted(bench: Bench) -> None:
    open_batch(bench)
    close(bench, open_batch(bench))
    assert "\ntopthree_batches_open 1.0\n" in bench.http.get("/metrics").text


def test_pictures_in_a_folder_are_stored_before_they_are_admitted(tmp_path: Path) -> None:
    # Given a store other than Redis, and room for two
    bench = make_bench(image_store_url=(tmp_path / "pictures").as_uri(), max_open_jobs=2)
    path = open_batch(bench)
    # When too many come, Then none of them is left
    assert add(bench, path, *[(f"{n}.png", PNG) for n in range(3)]).status_code == 413
    assert stored(tmp_path) == set()
    # And those that are accepted lie there alone
    images = add(bench, path, ("a.png", PNG), ("b.png", PNG)).json["images"]
    assert stored(tmp_path) == {each["id"] for each in images}
    assert not list(bench.redis.scan_iter("image:*"))
    # Until the batch is canceled
    bench.http.delete(path)
    assert stored(tmp_path) == set()


def stored(folder: Path) -> set[str]:
    """Return the names of the files that have a picture."""
    return {file.name for file in folder.rglob("*") if file.is_file() and file.read_bytes() == PNG}


def test_a_retry_of_a_picture_is_not_part_of_the_batch(bench: Bench) -> None:
    # Given a picture that failed by a fault of the service
    path = open_batch(bench)
    job_id = add(bench, path, ("a.png", PNG)).json["images"][0]["id"]
    fail(bench.jobs, job_id, {"status": 500, "title": "Model failed", "detail": "d"})
    close(bench, path)
    before = bench.http.get(path).json
    # When it is retried and succeeds
    new_id = bench.http.post(f"/result/{job_id}/retry").json["id"]
    succeed(bench.jobs, new_id, LABELS, MODEL)
    # Then the batch stays as it is
    assert bench.http.get(path).json == before
    assert [found["status"] for found in lines(bench, path)] == ["failed"]

"""An upload of bytes that were classified before is answered from the cache, never across models."""

import hashlib

import pytest

from shared.jobs.queue import Queue
from shared.jobs.redis_keys import OPEN_KEY
from shared.result_cache import KnownResult, ResultCache
from tests.unit.api.conftest import Bench, make_bench

ANSWERS = "litert-1:d"
MODEL = {"name": "m", "digest": "d"}
RESULT = {f"prediction_{n}": {"confidence_level": 1 / n, "predicted_label": f"l{n}"} for n in range(1, 11)}
ASYNC = {"Prefer": "respond-async"}


def remember(bench: Bench, png: bytes, answers: str = ANSWERS) -> None:
    entry = ResultCache(bench.redis, Queue(), 100).entry(
        answers, hashlib.sha256(png).hexdigest(), KnownResult(RESULT, MODEL)
    )
    assert entry is not None
    bench.redis.set(entry.key, entry.value)


def test_known_bytes_are_answered_at_once_and_have_a_record(bench: Bench, png: bytes) -> None:
    # Given a picture that the ready worker has seen
    bench.worker_beats()
    remember(bench, png)
    # When it is uploaded again, Then the labels come with the first answer, as many as wanted
    answer = bench.upload(png)
    assert (answer.status_code, answer.headers["Cache-Status"]) == (200, "topthree; hit")
    assert answer.json == {name: RESULT[name] for name in ("prediction_1", "prediction_2", "prediction_3")}
    # And nothing was queued or stored, but the record is there
    assert bench.published == []
    assert [key for key in bench.redis.scan_iter() if key.startswith("image:")] == []
    record = bench.http.get(answer.headers["Location"]).json
    assert (record["status"], record["model"], record["result"]) == ("succeeded", MODEL, answer.json)
    assert bench.redis.zcard(OPEN_KEY) == 0


def test_a_client_that_does_not_wait_gets_its_202_all_the_same(bench: Bench, png: bytes) -> None:
    bench.worker_beats()
    remember(bench, png)
    answer = bench.upload(png, headers=ASYNC)
    assert (answer.status_code, answer.json["status"], "position" in answer.json) == (202, "succeeded", False)


def test_a_picture_that_is_not_known_is_a_miss(bench: Bench, png: bytes) -> None:
    bench.worker_beats()
    answer = bench.upload(png, headers=ASYNC)
    assert (answer.status_code, answer.headers["Cache-Status"]) == (202, "topthree; fwd=miss")


@pytest.mark.parametrize("answers", ["litert-1:other", "tensorflow-1:d", "litert-2:d"])
def test_another_model_engine_or_preprocessing_is_a_miss(bench: Bench, png: bytes, answers: str) -> None:
    bench.worker_beats()
    remember(bench, png, answers)
    assert bench.upload(png, headers=ASYNC).headers["Cache-Status"] == "topthree; fwd=miss"


@pytest.mark.parametrize("workers", [{}, {"w1": ANSWERS, "w2": "litert-1:other"}])
def test_without_one_model_for_all_workers_nothing_is_known(bench: Bench, png: bytes, workers: dict[str, str]) -> None:
    remember(bench, png)
    for name, answers in workers.items():
        bench.worker_beats(name, answers)
    assert bench.upload(png, headers=ASYNC).headers["Cache-Status"] == "topthree; fwd=miss"


def test_the_cache_can_be_turned_off(png: bytes) -> None:
    bench = make_bench(result_cache_ttl_seconds=0)
    bench.worker_beats()
    remember(bench, png)
    answer = bench.upload(png, headers=ASYNC)
    assert answer.status_code == 202 and "Cache-Status" not in answer.headers


def test_a_key_is_kept_for_a_known_result_too(bench: Bench, png: bytes) -> None:
    bench.worker_beats()
    remember(bench, png)
    headers = {"Idempotency-Key": "abc"}
    first, again = bench.upload(png, headers=headers), bench.upload(png, headers=headers)
    assert first.headers["Location"] == again.headers["Location"]
    assert bench.http.post("/upload?top=1", data=png, content_type="image/png", headers=headers).status_code == 422


def test_a_known_result_has_only_the_labels_with_the_wanted_confidence(bench: Bench, png: bytes) -> None:
    # Given a picture whose ten labels are known
    bench.worker_beats()
    remember(bench, png)
    # When fewer are wanted, Then only these are answered and recorded
    query = "/upload?top=5&min_confidence=0.34"
    answer = bench.http.post(query, data=png, content_type="image/png")
    assert list(answer.json) == ["prediction_1", "prediction_2"]
    assert bench.http.get(answer.headers["Location"]).json["result"] == answer.json
    # And the next upload gets all that it wants
    assert len(bench.http.post("/upload?top=10", data=png, content_type="image/png").json) == 10

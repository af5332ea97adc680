"""`POST /upload?webhook=`: which URLs are taken, and what is written for them."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from shared.jobs.deliveries import Deliveries
from shared.jobs.queue import Queue
from shared.result_cache import KnownResult, ResultCache
from tests.support.outcomes import succeed
from tests.unit.api.conftest import Bench, make_bench

ASYNC = {"Prefer": "respond-async"}
SECRET = "whsec_" + "A" * 40
URL = "https://alice.example/hook?id=1"
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
MODEL = {"name": "m", "digest": "d"}


@pytest.fixture
def bench() -> Bench:
    return make_bench(webhook_secret=SECRET, webhook_allowed_hosts="hooks.internal,[::1]", wait_seconds=0.05)


def post(bench: Bench, png: bytes, url: str, **headers: str) -> Any:
    return bench.http.post(f"/upload?webhook={quote(url, safe='')}", data=png, headers={**ASYNC, **headers})


@pytest.mark.parametrize("url", [URL, "http://hooks.internal:8080/", "http://[::1]/", "https://8.8.8.8:8443/"])
def test_the_outcome_of_an_upload_with_a_webhook_is_delivered(bench: Bench, png: bytes, url: str) -> None:
    # Given an upload with a webhook
    answer = post(bench, png, url)
    assert answer.status_code == 202
    # When its job ends
    succeed(bench.jobs, answer.json["id"], LABELS, MODEL)
    # Then there is a delivery, and the record that clients read says nothing of it
    [delivery] = Deliveries(bench.redis, Queue()).claim(10)
    assert (delivery.url, delivery.subject.id) == (url, answer.json["id"])
    assert "webhook" not in bench.http.get(f"/result/{delivery.subject.id}").json


def test_json_and_form_uploads_may_have_a_webhook(bench: Bench, png: bytes) -> None:
    where = f"/upload?webhook={quote(URL, safe='')}"
    assert bench.http.post(where, json={"image": b64encode(png).decode()}, headers=ASYNC).status_code == 202


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "https://"),
        ("http://alice.example/", "https://"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::1%25lo]/", "not written as usual"),
        ("https://2130706433/", "not an address"),
        ("https://me:secret@alice.example/", "user name"),
        ("https://alice.example:22/", "port"),
        ("https://alice.example/" + "a" * 2000, "2000 characters"),
        ("https://alice.example/é", "ASCII"),
        ("ftp://hooks.internal/", "https://"),
    ],
)
def test_other_urls_are_refused(bench: Bench, png: bytes, url: str, reason: str) -> None:
    answer = post(bench, png, url)
    assert answer.status_code == 400
    assert answer.json["detail"].startswith("This `webhook` cannot be used: ")
    assert reason in answer.json["detail"]
    assert bench.published == []


def test_webhooks_are_off_without_a_secret(png: bytes) -> None:
    answer = post(make_bench(), png, URL)
    assert answer.status_code == 400
    assert "WEBHOOK_SECRET" in answer.json["detail"]


def test_a_cached_result_is_delivered(png: bytes) -> None:
    # Given a cached result
    bench = make_bench(webhook_secret=SECRET)
    bench.worker_beats(answers="litert-1:d")
    first = post(bench, png, URL)
    sha256 = bench.jobs.get(first.json["id"]).picture.sha256
    entry = ResultCache(bench.redis, Queue(), 100).entry("litert-1:d", sha256, KnownResult(LABELS, MODEL))
    assert entry is not None
    bench.redis.set(entry.key, entry.value)
    # When the picture is uploaded again, Then its outcome is delivered at once
    second = post(bench, png, URL)
    assert second.headers["Cache-Status"] == "topthree; hit"
    [delivery] = Deliveries(bench.redis, Queue()).claim(10)
    assert delivery.subject.id == second.json["id"]


def test_a_repeated_upload_joins_only_with_the_same_webhook(bench: Bench, png: bytes) -> None:
    key = {"Idempotency-Key": "k"}
    first = post(bench, png, URL, **key)
    assert post(bench, png, URL, **key).json["id"] == first.json["id"]
    assert post(bench, png, "https://bob.example/", **key).status_code == 422


def test_the_metrics_tell_of_webhooks(bench: Bench, png: bytes) -> None:
    job_id = post(bench, png, URL).json["id"]
    succeed(bench.jobs, job_id, LABELS, MODEL)
    text = bench.http.get("/metrics").text
    assert "topthree_webhooks_open 1.0" in text
    assert 'topthree_webhook_attempts_total{outcome="given_up"} 0.0' in text

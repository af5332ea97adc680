"""`/metrics` of the API: what it has done itself, and how the queue stands."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.claims import claim_job, new_claim
from tests.unit.api.conftest import Bench, make_bench

ASYNC = {"Prefer": "respond-async"}


def figures(bench: Bench) -> dict[str, float]:
    """Return every sample by its name and labels, as in a query."""
    answer = bench.http.get("/metrics")
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_accepted_jobs_and_the_queue_are_told(bench: Bench, png: bytes) -> None:
    # Given two uploads, of which one is being run, and one too many
    first, _ = (bench.upload(png, headers=ASYNC).json["id"] for _ in range(2))
    assert bench.upload(png, headers=ASYNC).status_code == 503
    claim_job(bench.jobs, first, new_claim("w"))
    # When the figures are asked for
    found = figures(bench)
    # Then they are those of the records
    assert found["topthree_jobs_accepted_total"] == 2
    assert (found["topthree_jobs_queued"], found["topthree_jobs_in_flight"]) == (1, 1)
    assert found["topthree_stored_bytes"] == 2 * len(png)
    assert 0 <= found["topthree_oldest_job_seconds"] < 60
    assert found["topthree_redis_up"] == 1
    upload = 'topthree_requests_total{method="POST",route="/upload",status="%s"}'
    assert (found[upload % 202], found[upload % 503]) == (2, 1)
    assert found['topthree_request_seconds_count{method="POST",route="/upload"}'] == 3


def test_the_message_list_does_not_count(bench: Bench, png: bytes) -> None:
    # Given a job whose message was lost, Then it is queued all the same
    bench.upload(png, headers=ASYNC)
    bench.redis.delete("classify")
    assert figures(bench)["topthree_jobs_queued"] == 1


def test_an_empty_queue_is_told_too(bench: Bench) -> None:
    found = figures(bench)
    names = ("jobs_queued", "jobs_in_flight", "oldest_job_seconds", "stored_bytes", "jobs_accepted_total")
    assert [found[f"topthree_{name}"] for name in names] == [0] * 5
    assert found['topthree_jobs_finished_total{outcome="failed"}'] == 0


def test_what_a_client_cancels_is_an_outcome(bench: Bench, png: bytes) -> None:
    job_id = bench.upload(png, headers=ASYNC).json["id"]
    for _ in range(2):
        bench.http.delete(f"/result/{job_id}")
    assert figures(bench)['topthree_jobs_finished_total{outcome="canceled"}'] == 1


def test_hits_are_accepted_and_finished_and_joined_jobs_are_neither(png: bytes) -> None:
    # Given a result that is known, and a job under a key
    bench = make_bench(wait_seconds=0.05)
    bench.worker_beats()
    keyed = {**ASYNC, "Idempotency-Key": "k"}
    first = bench.jobs.get(bench.upload(png, headers=keyed).json["id"])
    bench.redis.set(f"cache:litert-1:d:{first.picture.sha256}", '{"result": {}, "model": {}}')
    # When the same picture comes again, and the same request does
    bench.upload(png, headers=ASYNC)
    bench.upload(png, headers=keyed)
    # Then there are two jobs, and one of them has ended as it began
    found = figures(bench)
    assert (found["topthree_jobs_accepted_total"], found["topthree_cache_hits_total"]) == (2, 1)
    assert found['topthree_jobs_finished_total{outcome="succeeded"}'] == 1
    assert found['topthree_workers_ready{answers="litert-1:d",model="m"}'] == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/x1"), ("BREW", "/upload"), ("GET", "/result/../../x2")])
def test_what_clients_make_up_adds_no_series(bench: Bench, method: str, path: str) -> None:
    bench.http.open(path, method=method)
    text = bench.http.get("/metrics").text
    assert 'route="other"' in text and "x1" not in text and "x2" not in text and "BREW" not in text


def test_while_redis_is_away_the_process_tells_what_it_knows(bench: Bench, png: bytes) -> None:
    bench.upload(png, headers=ASYNC)
    bench.lose_redis()
    found = figures(bench)
    assert (found["topthree_redis_up"], found["topthree_jobs_accepted_total"]) == (0, 1)
    assert "topthree_jobs_queued" not in found


def test_two_applications_count_apart(bench: Bench, png: bytes) -> None:
    bench.upload(png, headers=ASYNC)
    assert figures(make_bench())["topthree_jobs_accepted_total"] == 0

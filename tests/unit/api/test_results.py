"""What `/result/<id>` answers."""

from tests.support.claims import claim_job, new_claim
from tests.support.outcomes import fail, succeed
from tests.unit.api.conftest import Bench

MODEL = {"name": "m", "digest": "d"}
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}


def accept(bench: Bench, png: bytes) -> str:
    return str(bench.upload(png, headers={"Prefer": "respond-async"}).json["id"])


def test_an_open_job_answers_202_with_its_position(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    answer = bench.http.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json) == (202, {"id": job_id, "status": "queued", "position": 1})
    assert "Retry-After" in answer.headers


def test_a_running_job_answers_202_without_a_position(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    claim_job(bench.jobs, job_id, new_claim("w"))
    answer = bench.http.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json) == (202, {"id": job_id, "status": "running"})


def test_a_finished_job_answers_everything_about_it(bench: Bench, png: bytes) -> None:
    # Given a job that a worker has finished
    job_id = accept(bench, png)
    claim_job(bench.jobs, job_id, new_claim("worker-1"))
    succeed(bench.jobs, job_id, LABELS, MODEL)
    # When it is asked for
    answer = bench.http.get(f"/result/{job_id}")
    # Then labels, model, worker and times are there
    assert answer.status_code == 200
    body = dict(answer.json)
    times = body.pop("times")
    assert times["accepted"] <= times["begun"] <= times["finished"]
    assert body == {
        **{"id": job_id, "status": "succeeded", "result": LABELS, "model": MODEL},
        **{"worker": "worker-1", "attempts": 1},
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_failed_job_answers_200_with_its_problem(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    fail(bench.jobs, job_id, {"status": 422, "title": "T", "detail": "D"})
    answer = bench.http.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json["status"]) == (200, "failed")
    assert answer.json["problem"] == {"type": "about:blank", "status": 422, "title": "T", "detail": "D"}


def test_an_id_that_never_was_answers_404(bench: Bench) -> None:
    answer = bench.http.get("/result/nobody")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_a_wait_that_is_over_answers_202(bench: Bench, png: bytes) -> None:
    answer = bench.http.get(f"/result/{accept(bench, png)}", headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")


def test_deleting_an_open_job_cancels_it(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    assert bench.http.delete(f"/result/{job_id}").status_code == 204
    answer = bench.http.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json["status"]) == (200, "canceled")
    assert not bench.redis.exists(f"image:{job_id}")


def test_deleting_a_finished_job_makes_it_gone(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    succeed(bench.jobs, job_id, LABELS, MODEL)
    assert bench.http.delete(f"/result/{job_id}").status_code == 204
    assert bench.http.get(f"/result/{job_id}").status_code == 410
    assert bench.http.delete(f"/result/{job_id}").status_code == 410


def test_canceling_an_open_job_twice_is_as_good_as_once(bench: Bench, png: bytes) -> None:
    job_id = accept(bench, png)
    for _ in range(2):
        answer = bench.http.post(f"/result/{job_id}/cancel")
        assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)
    assert bench.http.get(f"/result/{job_id}").json["status"] == "canceled"
    assert not bench.redis.exists(f"image:{job_id}")


def test_canceling_never_deletes_a_result(bench: Bench, png: bytes) -> None:
    # Given a job that ends while its cancellation is on its way
    job_id = accept(bench, png)
    succeed(bench.jobs, job_id, LABELS, MODEL)
    # When it arrives, Then it is refused, and the result is still there
    answer = bench.http.post(f"/result/{job_id}/cancel")
    assert (answer.status_code, "result is kept" in answer.json["error"]) == (409, True)
    assert bench.http.get(f"/result/{job_id}").json["status"] == "succeeded"


def test_canceling_what_is_not_there_answers_404_or_410(bench: Bench, png: bytes) -> None:
    assert bench.http.post("/result/nobody/cancel").status_code == 404
    job_id = accept(bench, png)
    succeed(bench.jobs, job_id, LABELS, MODEL)
    bench.http.delete(f"/result/{job_id}")
    assert bench.http.post(f"/result/{job_id}/cancel").status_code == 410


def test_deleting_an_id_that_never_was_answers_404(bench: Bench) -> None:
    assert bench.http.delete("/result/nobody").status_code == 404


def test_unknown_routes_and_methods_answer_problems(bench: Bench) -> None:
    for answer, status in [(bench.http.get("/nothing"), 404), (bench.http.get("/upload"), 405)]:
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
        assert answer.json["error"]
    assert "POST" in bench.http.get("/upload").headers["Allow"]


def test_a_record_that_lost_parts_is_gone_and_no_mistake_of_the_service(bench: Bench, png: bytes) -> None:
    # Given a job whose record was evicted, and of which something was written again
    job_id = accept(bench, png)
    bench.redis.delete(f"job:{job_id}")
    bench.redis.hset(f"job:{job_id}", "published_ms", 1)
    # When it is asked for or taken back, Then it is gone
    for answer in (bench.http.get(f"/result/{job_id}"), bench.http.delete(f"/result/{job_id}")):
        assert (answer.status_code, "damaged" in answer.json["error"]) == (410, True)

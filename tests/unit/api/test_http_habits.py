"""What HTTP expects of every route: problems, HEAD, OPTIONS, Allow, no caching of errors."""

import pytest

from shared.jobs.store import Jobs
from tests.support.outcomes import succeed
from tests.unit.api.conftest import Bench, make_bench


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/result/" + "0" * 32, 404),
        ("DELETE", "/result/" + "0" * 32, 404),
        ("GET", "//health/live", 404),
        ("GET", "/upload/", 404),
        ("PUT", "/upload", 405),
        ("POST", "/health/live", 405),
        ("BREW", "/upload", 405),
    ],
)
def test_an_error_is_a_problem_that_nobody_keeps(bench: Bench, method: str, path: str, status: int) -> None:
    answer = bench.http.open(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    body = answer.get_json(force=True)
    assert body["status"] == status and body["error"] == body["detail"] != ""
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_wrong_path_or_method_says_what_to_do(bench: Bench) -> None:
    for path in ("/uploads", "/upload/", "//upload"):
        assert bench.http.post(path).get_json(force=True)["detail"] == (
            "There is no such page. Send pictures to `POST /upload`; the web page is at `/`."
        )
    assert bench.http.put("/upload").get_json(force=True)["detail"] == "This page takes OPTIONS, POST, not PUT."


def test_a_mistake_of_the_service_is_a_problem(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    bench.http.application.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(Jobs, "get", fail)
    answer = bench.http.get("/result/" + "0" * 32)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "a bug" not in answer.text


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/upload", {"POST", "OPTIONS"}),
        ("/result/" + "0" * 32, {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/health/live", {"GET", "HEAD", "OPTIONS"}),
        ("/openapi.json", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_names_the_methods_of_a_route_and_nothing_else(bench: Bench, path: str, methods: set[str]) -> None:
    answer = bench.http.options(path)
    assert (answer.status_code, answer.data) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == methods


def test_head_answers_as_get_without_the_body(bench: Bench, png: bytes) -> None:
    job_id = bench.upload(png, headers={"Prefer": "respond-async"}).json["id"]
    for path in ("/health/live", "/health/ready", f"/result/{job_id}", "/openapi.json", "/docs", "/docs/start.js"):
        head, get = bench.http.head(path), bench.http.get(path)
        assert (head.status_code, head.data) == (get.status_code, b"")
        for name in ("Content-Type", "Content-Length", "Location", "Cache-Control"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


def test_a_deleted_job_leaves_an_empty_answer_and_is_gone(bench: Bench, png: bytes) -> None:
    # Given a job that has ended
    job_id = bench.upload(png, headers={"Prefer": "respond-async"}).json["id"]
    succeed(bench.jobs, job_id, {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}, {})
    # When it is deleted
    answer = bench.http.delete(f"/result/{job_id}")
    # Then the answer is empty, and later ones are problems
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)
    assert [bench.http.get(f"/result/{job_id}").status_code, bench.http.delete(f"/result/{job_id}").status_code] == [
        410,
        410,
    ]


def test_a_redis_that_is_away_is_a_problem_for_the_health_too(bench: Bench) -> None:
    bench.lose_redis()
    answer = bench.http.get("/health/ready")
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_preferences_of_a_refused_upload_are_not_said_to_be_applied(png: bytes) -> None:
    bench = make_bench(max_open_jobs=1)
    assert bench.upload(png, headers={"Prefer": "respond-async"}).headers["Preference-Applied"] == "respond-async"
    refused = bench.upload(png, headers={"Prefer": "respond-async"})
    assert (refused.status_code, "Preference-Applied" in refused.headers) == (503, False)

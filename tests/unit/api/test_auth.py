"""API keys: who is let in, and who may read whose results."""

import pytest

from api import new_key
from shared.api_keys import digest_of, parse_api_keys
from tests.support.outcomes import succeed
from tests.unit.api.conftest import Bench, make_bench

ALICE, BOB, OLD = "alices key", "bobs key", "alices old key"
KEYS = f"alice:{digest_of(ALICE)}, bob:{digest_of(BOB)} alice:{digest_of(OLD)}"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def bench() -> Bench:
    return make_bench(api_keys=KEYS, wait_seconds=0.05)


def bearer(key: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **ASYNC, **headers}


def accept(bench: Bench, png: bytes, key: str, **headers: str) -> str:
    answer = bench.upload(png, headers=bearer(key, **headers))
    assert answer.status_code == 202, answer.json
    return str(answer.json["id"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {ALICE}"},
        {"Authorization": f"bearer  {ALICE} "},
        {"X-API-Key": ALICE},
        {"X-API-Key": OLD},
        {"X-API-Key": ALICE, "Authorization": "Basic Zm9vOmJhcg=="},
    ],
)
def test_who_has_a_key_is_let_in(bench: Bench, png: bytes, headers: dict[str, str]) -> None:
    answer = bench.upload(png, headers={**ASYNC, **headers})
    assert answer.status_code == 202
    assert bench.jobs.get(answer.json["id"]).owner == "alice"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, ""),
        ({"Authorization": "Bearer"}, ""),
        ({"Authorization": f"Basic {ALICE}"}, ""),
        ({"Authorization": "Bearer wrong"}, "invalid_token"),
        ({"X-API-Key": "wröng"}, "invalid_token"),
        ({"X-API-Key": digest_of(ALICE)}, "invalid_token"),
        ({"X-API-Key": ALICE, "Authorization": "Bearer wrong"}, "invalid_token"),
    ],
)
def test_who_has_none_is_told_what_is_wanted(bench: Bench, png: bytes, headers: dict[str, str], error: str) -> None:
    answer = bench.upload(png, headers={**ASYNC, **headers})
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert "key" in answer.json["error"]
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer realm=") and error in challenge and ("error=" in challenge) == bool(error)
    assert bench.published == []


@pytest.mark.parametrize("path", ["/result/0", "/metrics", "/nothing", "/docsx", "/health", "/status.json", "/statusx"])
def test_everything_that_is_not_named_as_open_wants_a_key(bench: Bench, path: str) -> None:
    assert bench.http.get(path).status_code == 401
    assert bench.http.get(path, headers=bearer(ALICE)).status_code == (
        200 if path in ("/metrics", "/status.json") else 404
    )


@pytest.mark.parametrize(
    "path", ["/", "/status", "/docs", "/docs/x", "/page/x", "/openapi.json", "/health/live", "/health/ready"]
)
def test_the_page_the_contract_and_the_health_want_none(bench: Bench, path: str) -> None:
    assert bench.http.get(path).status_code in (200, 404)


def test_a_browser_may_ask_what_it_may_send(bench: Bench) -> None:
    assert bench.http.options("/upload").status_code == 200


def test_a_result_is_there_for_the_key_that_made_it_only(bench: Bench, png: bytes) -> None:
    # Given a job of Alice's
    job_id = accept(bench, png, ALICE)
    path = f"/result/{job_id}"
    # When Bob asks for it or cancels it, Then for him there is none, in the words for ids that never were
    for method in (bench.http.get, bench.http.delete):
        answer = method(path, headers=bearer(BOB))
        assert answer.status_code == 404
        assert answer.json == method("/result/nobody", headers=bearer(BOB)).json
    # And Alice has it, with any of her keys
    assert bench.http.get(path, headers=bearer(ALICE)).json["status"] == "queued"
    assert bench.http.get(path, headers=bearer(OLD)).status_code == 202


def test_a_result_that_is_gone_is_gone_for_its_owner_only(bench: Bench, png: bytes) -> None:
    # Given a result of Alice's that she has deleted
    job_id = accept(bench, png, ALICE)
    succeed(bench.jobs, job_id, {}, {})
    assert bench.http.delete(f"/result/{job_id}", headers=bearer(ALICE)).status_code == 204
    # Then Bob does not learn that it was there
    assert bench.http.get(f"/result/{job_id}", headers=bearer(ALICE)).status_code == 410
    assert bench.http.get(f"/result/{job_id}", headers=bearer(BOB)).status_code == 404


def test_a_job_from_before_there_were_keys_is_nobodys(png: bytes) -> None:
    # Given a job that was made without a key
    open_bench = make_bench()
    job_id = open_bench.upload(png, headers=ASYNC).json["id"]
    assert open_bench.http.get(f"/result/{job_id}").status_code == 202
    # When keys are turned on, Then no key has made it
    closed = make_bench(client=open_bench.redis, api_keys=KEYS)
    assert closed.http.get(f"/result/{job_id}", headers=bearer(ALICE)).status_code == 404


def test_idempotency_keys_of_two_clients_do_not_meet(bench: Bench, png: bytes) -> None:
    # Given the same Idempotency-Key from both
    alices = accept(bench, png, ALICE, **{"Idempotency-Key": "1"})
    bobs = accept(bench, png, BOB, **{"Idempotency-Key": "1"})
    # Then each has a job, and a retry joins the client's own, also with another key of the same name
    assert alices != bobs
    assert accept(bench, png, OLD, **{"Idempotency-Key": "1"}) == alices


def test_a_redis_that_is_away_is_no_401(bench: Bench) -> None:
    bench.lose_redis()
    assert bench.http.get("/result/x", headers=bearer(ALICE)).status_code == 503
    assert bench.http.get("/result/x").status_code == 401


def test_a_new_key_opens_with_its_entry(capsys: pytest.CaptureFixture[str], png: bytes) -> None:
    # When a key is made
    assert new_key.main(["carol"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    key, entry = lines[1], lines[3]
    # Then its entry says who has it and not what it is, and lets it in
    assert key not in entry and parse_api_keys(entry)[0].name == "carol"
    assert make_bench(api_keys=entry).upload(png, headers=bearer(key)).status_code == 202


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["1st"], ["a:b"], ["ä"], ["a" * 65]])
def test_a_key_wants_a_name(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert new_key.main(arguments) == 2
    assert "name" in capsys.readouterr().err

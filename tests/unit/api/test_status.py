"""`/status.json`: what is told to whom, and who may retry and cancel."""

import os
from typing import Any

import pytest

from api.operators import Access, Operators, is_from_this_machine
from api.peer_user import PEER_USER
from api.service_status import MOST_FAILURES
from shared.api_keys import digest_of
from shared.jobs.history import MINUTES
from shared.settings import SettingsError
from tests.support.claims import claim_job, new_claim
from tests.support.outcomes import fail, succeed
from tests.unit.api.conftest import Bench, encode, make_bench

ALICE, BOB = "alices key", "bobs key"
KEYS = f"alice:{digest_of(ALICE)}, bob:{digest_of(BOB)}"
# What the test client sends by default is what a program on this machine sends.
HERE: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "127.0.0.1"}, "headers": {"Host": "localhost:5000"}}
FAR: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}, "headers": {"Host": "pictures.example"}}
OWN_FAULT = {"status": 500, "title": "Model failed", "detail": "A detail."}
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}


@pytest.fixture
def bench() -> Bench:
    return make_bench()


@pytest.fixture
def keyed() -> Bench:
    """A service with keys; Alice is an operator, Bob is not."""
    return make_bench(api_keys=KEYS, operators="alice")


def accept(bench: Bench, key: str = "") -> str:
    answer = bench.upload(encode("PNG"), headers={"Prefer": "respond-async", "X-API-Key": key})
    return str(answer.json["id"])


def failed(bench: Bench, key: str = "", problem: dict[str, Any] = OWN_FAULT) -> str:
    """Accept a job and let it fail on the worker w1."""
    job_id = accept(bench, key)
    claim_job(bench.jobs, job_id, new_claim("w1"))
    fail(bench.jobs, job_id, problem)
    return job_id


def status(bench: Bench, **options: Any) -> Any:
    answer = bench.http.get("/status.json", **(options or HERE))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return answer.json


def with_key(key: str) -> dict[str, Any]:
    return {**FAR, "headers": {**FAR["headers"], "X-API-Key": key}}


def test_an_empty_service_has_a_status(bench: Bench) -> None:
    found = status(bench)
    assert found["jobs"] == {"queued": 0, "running": 0, "failed": 0, "oldest_seconds": 0}
    assert {len(found["ended"][state]) for state in ("succeeded", "failed", "canceled", "expired")} == {MINUTES}
    assert (found["workers"], found["failures"], found["batches"]) == ([], [], {"open": 0})
    assert found["webhooks"] == {"open": 0, "overdue_seconds": 0, "given_up": 0}
    assert "oldest" not in found and "refusal" not in found


def test_jobs_workers_and_throughput_are_told(bench: Bench) -> None:
    # Given a worker that runs one of three open jobs, and a job that has ended
    bench.worker_beats("w1")
    bench.worker_beats("w2")
    done = accept(bench)
    succeed(bench.jobs, done, LABELS, {})
    ids = [accept(bench) for _ in range(3)]
    claim_job(bench.jobs, ids[0], new_claim("w1"))
    # When the status is read
    found = status(bench)
    # Then it has all of it
    counts = found["jobs"]
    assert (counts["queued"], counts["running"], counts["failed"]) == (2, 1, 0) and counts["oldest_seconds"] >= 0
    assert {worker["name"]: worker["running"] for worker in found["workers"]} == {"w1": 1, "w2": 0}
    assert sum(found["ended"]["succeeded"][-2:]) == 1
    assert found["oldest"] == {"id": ids[0], "status": "running"}


def test_a_full_queue_is_told() -> None:
    bench = make_bench(max_open_jobs=1)
    accept(bench)
    assert "The queue is full" in status(bench)["refusal"]


def test_a_redis_that_is_unfit_is_told(bench: Bench) -> None:
    bench.redis.answer = {"used_memory": 1, "maxmemory": 100, "maxmemory_policy": "allkeys-lru"}
    assert "allkeys-lru" in status(bench)["refusal"]


def test_a_redis_that_is_away_is_a_503_with_the_reason(bench: Bench) -> None:
    bench.lose_redis()
    answer = bench.http.get("/status.json", **HERE)
    assert (answer.status_code, "cannot reach its storage" in answer.json["detail"]) == (503, True)
    # And the page is there all the same
    assert bench.http.get("/status").status_code == 200


def test_failures_are_the_newest_ones_with_their_reasons(bench: Bench) -> None:
    # Given more failures than are shown
    ids = [failed(bench) for _ in range(MOST_FAILURES + 5)]
    # When the status is read here
    found = status(bench)["failures"]
    # Then it has the newest, each with its reason and whether it can be retried
    assert len(found) == MOST_FAILURES and {failure["id"] for failure in found} <= set(ids)
    assert found[0].items() >= {**OWN_FAULT, "worker": "w1", "retryable": True, "poison": False, "attempts": 1}.items()
    assert [each["finished"] for each in found] == sorted((each["finished"] for each in found), reverse=True)


def test_a_failure_for_its_picture_cannot_be_retried(bench: Bench) -> None:
    failed(bench, problem={"status": 422, "title": "Picture cannot be decoded", "detail": "D"})
    (found,) = status(bench)["failures"]
    assert (found["status"], found["retryable"]) == (422, False)


def test_a_failure_whose_picture_is_kept_outlives_the_list_of_all_failures(bench: Bench) -> None:
    # Given a failure that happened longer ago than results are kept
    job_id = failed(bench)
    bench.redis.zrem("jobs:failed", job_id)
    # Then it is shown as long as it can be retried
    assert [failure["id"] for failure in status(bench)["failures"]] == [job_id]


def test_failures_of_both_kinds_are_no_more_than_are_shown(bench: Bench) -> None:
    # Given old failures that can be retried, and as many new ones as are shown that cannot
    for _ in range(5):
        failed(bench)
    new = [failed(bench, problem={"status": 422, "title": "T", "detail": "D"}) for _ in range(MOST_FAILURES)]
    # Then the new ones are shown
    assert {failure["id"] for failure in status(bench)["failures"]} == set(new)


def test_a_damaged_record_hides_no_other_failure(bench: Bench) -> None:
    damaged, sound = failed(bench), failed(bench)
    bench.redis.hdel(f"job:{damaged}", "sha256")
    assert [failure["id"] for failure in status(bench)["failures"]] == [sound]


class TestWithoutKeys:
    """Who comes from this machine may act; the others see no ids, because whoever has an id can act."""

    def test_from_elsewhere_reasons_are_seen_but_no_ids(self, bench: Bench) -> None:
        job_id, waiting = failed(bench), accept(bench)
        answer = bench.http.get("/status.json", **FAR)
        (failure,) = answer.json["failures"]
        assert failure.keys() == {"finished", "status", "title", "attempts", "worker"}
        assert not answer.json["may_act"] and job_id not in answer.text and waiting not in answer.text

    def test_here_jobs_are_retried_and_canceled(self, bench: Bench) -> None:
        # Given a failed and a waiting job
        job_id, waiting = failed(bench), accept(bench)
        assert status(bench)["may_act"]
        # When both are acted on, twice, as after a lost answer
        retries = [bench.http.post(f"/status/jobs/{job_id}/retry", **HERE) for _ in range(2)]
        cancels = [bench.http.delete(f"/status/jobs/{waiting}", **HERE) for _ in range(2)]
        # Then there is one retry, and the other job is canceled and can still be read
        assert [answer.status_code for answer in (*retries, *cancels)] == [202, 202, 204, 204]
        assert retries[0].json["id"] == retries[1].json["id"] and retries[0].json["retry_of"] == job_id
        assert bench.http.get(f"/result/{waiting}").json["status"] == "canceled"
        # And the failure can be retried no more
        assert [failure["retryable"] for failure in status(bench)["failures"]] == [False]

    def test_a_result_that_is_there_is_not_deleted(self, bench: Bench) -> None:
        job_id = accept(bench)
        succeed(bench.jobs, job_id, LABELS, {})
        assert bench.http.delete(f"/status/jobs/{job_id}", **HERE).status_code == 204
        assert bench.http.get(f"/result/{job_id}").json["status"] == "succeeded"

    @pytest.mark.parametrize(
        ("address", "headers"),
        [
            ("127.0.0.1", {"Host": "localhost"}),
            ("127.0.0.1", {"Host": "127.0.0.1:5000"}),
            ("::1", {"Host": "[::1]:5000"}),
            ("::ffff:127.0.0.1", {"Host": "localhost:5000"}),
            (
                "127.0.0.1",
                {"Host": "localhost:5000", "Origin": "http://localhost:5000", "Sec-Fetch-Site": "same-origin"},
            ),
            ("127.0.0.1", {"Host": "localhost:5000", "Sec-Fetch-Site": "none"}),
        ],
    )
    def test_this_machine_is_known_by(self, bench: Bench, address: str, headers: dict[str, str]) -> None:
        assert status(bench, environ_base={"REMOTE_ADDR": address}, headers=headers)["may_act"]

    @pytest.mark.parametrize(
        ("address", "headers"),
        [
            # Another machine, whatever it says
            ("192.0.2.1", {}),
            ("192.0.2.1", {"X-Forwarded-For": "127.0.0.1"}),
            ("::ffff:192.0.2.1", {}),
            ("", {}),
            ("unix:", {}),
            # A proxy or a tunnel on this machine
            ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
            ("127.0.0.1", {"X-Forwarded-For": ""}),
            ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
            ("127.0.0.1", {"X-Forwarded-Proto": "https"}),
            ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}),
            ("127.0.0.1", {"Via": "1.1 proxy"}),
            ("127.0.0.1", {"CF-Connecting-IP": "192.0.2.1"}),
            ("127.0.0.1", {"True-Client-IP": "192.0.2.1"}),
            # A name that somebody has pointed to this machine
            ("127.0.0.1", {"Host": "attacker.example"}),
            ("127.0.0.1", {"Host": "localhost.attacker.example"}),
            ("127.0.0.1", {"Host": "127.0.0.1.attacker.example"}),
            # A page of another site in a browser on this machine
            ("127.0.0.1", {"Origin": "http://attacker.example"}),
            ("127.0.0.1", {"Origin": "http://localhost:3000"}),
            ("127.0.0.1", {"Origin": "null"}),
            ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}),
            ("127.0.0.1", {"Sec-Fetch-Site": "same-site"}),
        ],
    )
    def test_nobody_else_may_act(self, bench: Bench, address: str, headers: dict[str, str]) -> None:
        # Given a failed and a waiting job
        job_id, waiting = failed(bench), accept(bench)
        options = {"environ_base": {"REMOTE_ADDR": address}, "headers": {"Host": "localhost:5000", **headers}}
        before = bench.published
        # When somebody acts on them who is not this machine itself
        answers = [
            bench.http.post(f"/status/jobs/{job_id}/retry", **options),
            bench.http.delete(f"/status/jobs/{waiting}", **options),
        ]
        # Then nothing happens, and no id is told
        assert [answer.status_code for answer in answers] == [403, 403]
        assert job_id not in bench.http.get("/status.json", **options).text
        assert bench.published == before and bench.jobs.get(waiting).state == "queued"

    @pytest.mark.parametrize("host", [None, "", "localhost@attacker.example", "localhost:5000,attacker.example", "::1"])
    def test_a_host_that_is_no_name_of_this_machine_is_none(self, host: str | None) -> None:
        environ = {"REMOTE_ADDR": "127.0.0.1"} | ({} if host is None else {"HTTP_HOST": host})
        assert not is_from_this_machine(environ)

    @pytest.mark.parametrize(("user", "may_act"), [(None, True), (os.getuid(), True), (os.getuid() + 1, False)])
    def test_a_proxy_that_adds_nothing_is_known_by_its_user(
        self, bench: Bench, user: int | None, may_act: bool
    ) -> None:
        environ = {"REMOTE_ADDR": "127.0.0.1", PEER_USER: lambda: user}
        assert status(bench, environ_overrides=environ, headers=HERE["headers"])["may_act"] == may_act

    def test_a_proxy_that_adds_nothing_is_known_by_its_old_protocol(self, bench: Bench) -> None:
        # Given nginx on this machine, as it is without further settings
        base = {"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.0"}
        options = {"environ_base": base, "environ_overrides": base, "headers": {"Host": "127.0.0.1:5000"}}
        assert not status(bench, **options)["may_act"]

    def test_behind_trusted_proxies_a_request_without_their_headers_is_not_from_here(self, bench: Bench) -> None:
        with bench.http.application.test_request_context(**HERE):
            assert Operators((), has_keys=False, has_proxies=False).access() is Access.ACTIONS
            assert Operators((), has_keys=False, has_proxies=True).access() is Access.FAILURES

    def test_behind_trusted_proxies_nobody_may_act(self) -> None:
        bench = make_bench(trusted_proxies=1)
        job_id = failed(bench)
        for said in ({}, {"X-Forwarded-For": "127.0.0.1"}):
            options = {**HERE, "headers": {**HERE["headers"], **said}}
            assert bench.http.post(f"/status/jobs/{job_id}/retry", **options).status_code == 403


class TestWithKeys:
    """Operators see everything and may act; other keys see numbers."""

    def test_without_a_key_nothing_is_told(self, keyed: Bench) -> None:
        assert keyed.http.get("/status.json", **HERE).status_code == 401
        assert keyed.http.post(f"/status/jobs/{'a' * 32}/retry", **HERE).status_code == 401
        # And the page is there, to ask for the key
        assert keyed.http.get("/status").status_code == 200

    @pytest.mark.parametrize("where", [HERE, FAR])
    def test_other_keys_see_numbers_only_wherever_they_are(self, keyed: Bench, where: dict[str, Any]) -> None:
        # Given a failed and a waiting job of Alice's
        job_id, waiting = failed(keyed, ALICE), accept(keyed, ALICE)
        options, before = {**where, "headers": {**where["headers"], "X-API-Key": BOB}}, keyed.published
        # When Bob looks, Then he sees numbers
        answer = keyed.http.get("/status.json", **options)
        assert answer.json["jobs"]["failed"] == 1 and not answer.json["may_act"]
        assert answer.json.keys().isdisjoint({"failures", "oldest"})
        assert not any(secret in answer.text for secret in (job_id, waiting, "alice", "Model failed"))
        # And he may not act
        retry = keyed.http.post(f"/status/jobs/{job_id}/retry", **options)
        cancel = keyed.http.delete(f"/status/jobs/{waiting}", **options)
        assert (retry.status_code, cancel.status_code) == (403, 403) and "OPERATORS" in retry.json["detail"]
        assert keyed.published == before and keyed.jobs.get(waiting).state == "queued"

    def test_an_operator_sees_and_retries_the_jobs_of_others(self, keyed: Bench) -> None:
        # Given a failed job of Bob's
        job_id = failed(keyed, BOB)
        # When Alice looks, Then she sees whose it is
        (failure,) = status(keyed, **with_key(ALICE))["failures"]
        assert (failure["id"], failure["owner"]) == (job_id, "bob")
        # And when she retries it, the new job is Bob's
        answer = keyed.http.post(f"/status/jobs/{job_id}/retry", **with_key(ALICE))
        assert answer.status_code == 202 and keyed.jobs.get(answer.json["id"]).owner == "bob"
        # And she cancels it
        assert keyed.http.delete(f"/status/jobs/{answer.json['id']}", **with_key(ALICE)).status_code == 204
        assert keyed.jobs.get(answer.json["id"]).state == "canceled"

    def test_operators_are_none_by_default(self) -> None:
        bench = make_bench(api_keys=KEYS)
        assert not status(bench, **with_key(ALICE))["may_act"]


@pytest.mark.parametrize("settings", [{"operators": "carol"}, {"operators": "alice,carol", "api_keys": KEYS}])
def test_an_operator_without_a_key_is_refused_at_the_start(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"OPERATORS.* carol$"):
        make_bench(**settings)


@pytest.mark.parametrize("value", ["1st", "alice,,bob", "alice, bob", ",alice"])
def test_operators_that_are_no_names_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"OPERATORS.*alice,bob"):
        make_bench(operators=value, api_keys=KEYS)


def test_an_unknown_job_is_a_404(bench: Bench) -> None:
    for ask, path in ((bench.http.post, "/retry"), (bench.http.delete, "")):
        assert ask(f"/status/jobs/{'a' * 32}{path}", **HERE).status_code == 404

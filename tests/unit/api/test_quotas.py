"""Quotas: uploads per key or address."""

import time
from io import BytesIO

import pytest

from api.quotas import network_of
from shared.api_keys import digest_of
from tests.unit.api.conftest import Bench, make_bench

ASYNC = {"Prefer": "respond-async"}


def upload(bench: Bench, png: bytes, address: str = "192.0.2.1", **headers: str) -> int:
    answer = bench.upload(png, headers={**ASYNC, **headers}, environ_overrides={"REMOTE_ADDR": address})
    return int(answer.status_code)


def test_an_upload_too_many_is_refused_and_told_when_to_come_back(png: bytes) -> None:
    # Given a quota of two an hour, and a client that has used it
    bench = make_bench(rate_limit="2/hour")
    first = bench.upload(png, headers=ASYNC)
    assert (first.status_code, first.headers["X-RateLimit-Remaining"]) == (202, "1")
    assert upload(bench, png, "127.0.0.1") == 202
    # When one more comes
    answer = bench.upload(png, headers=ASYNC)
    # Then it is refused, as a problem, with the time at which there is more
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    assert "2 per hour" in answer.json["error"]
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("2", "0")
    assert 3500 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 3601
    assert len(bench.published) == 2


def test_the_end_of_the_window_is_no_reason_to_poll_late(png: bytes) -> None:
    answer = make_bench(rate_limit="2/hour").upload(png, headers=ASYNC)
    assert int(answer.headers["Retry-After"]) <= 10


def test_of_several_limits_each_counts(png: bytes) -> None:
    bench = make_bench(rate_limit="5/day;1/hour")
    assert [upload(bench, png), upload(bench, png)] == [202, 429]


def test_asking_for_results_costs_nothing(png: bytes) -> None:
    bench = make_bench(rate_limit="1/hour")
    job_id = bench.upload(png, headers=ASYNC).json["id"]
    for _ in range(3):
        answer = bench.http.get(f"/result/{job_id}")
        assert answer.status_code == 202 and "X-RateLimit-Limit" not in answer.headers
    assert bench.http.options("/upload").status_code == 200


def test_each_address_has_its_own_quota(png: bytes) -> None:
    bench = make_bench(rate_limit="1/hour")
    assert [upload(bench, png, address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [202, 202, 429]


def test_each_name_has_its_own_quota_whatever_its_addresses_and_keys(png: bytes) -> None:
    # Given Alice with two keys, and Bob
    keys = f"alice:{digest_of('a1')},alice:{digest_of('a2')},bob:{digest_of('b')}"
    bench = make_bench(rate_limit="1/hour", api_keys=keys)
    # When each uploads, Alice from two addresses with two keys, Then only her second one is too many
    assert upload(bench, png, "192.0.2.1", **{"X-API-Key": "a1"}) == 202
    assert upload(bench, png, "192.0.2.1", **{"X-API-Key": "b"}) == 202
    assert upload(bench, png, "192.0.2.2", **{"X-API-Key": "a2"}) == 429
    # And who has no key uses up nobody's quota
    assert upload(bench, png, "192.0.2.3") == 401


@pytest.mark.parametrize(
    "written",
    [
        "[2001:db8::1]:{n}",
        "2001:db8::{n}",
        "[2001:db8::1%eth{n}]",
        "192.0.2.1:{n}",
        "[::ffff:192.0.2.1]:{n}",
        "unknown-{n}",
        '"x{n}, 192.0.2.1',
        "\\{n}, 192.0.2.1",
    ],
)
def test_no_spelling_of_an_address_bypasses_the_quota(png: bytes, written: str) -> None:
    # Given a service behind a proxy, and a quota of three
    bench = make_bench(rate_limit="3/minute", trusted_proxies=1)
    # When one client uploads with changing ports, addresses in its network, or forged entries
    answers = [upload(bench, png, **{"X-Forwarded-For": written.format(n=1001 + n)}) for n in range(4)]
    # Then all uploads count towards one quota
    assert answers == [202, 202, 202, 429]


@pytest.mark.parametrize(("proxies", "counts"), [(0, [202, 429]), (1, [202, 202]), (2, [202, 429])])
def test_only_addresses_from_trusted_proxies_are_used(png: bytes, proxies: int, counts: list[int]) -> None:
    bench = make_bench(rate_limit="1/minute", trusted_proxies=proxies)
    assert [upload(bench, png, **{"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(2)] == counts


def test_the_body_of_an_upload_above_the_quota_is_not_read(png: bytes) -> None:
    # Given a client with a quota of one upload
    bench = make_bench(rate_limit="1/hour")
    bodies = [BytesIO(png), BytesIO(png)]
    # When it uploads twice
    answers = [
        bench.http.post("/upload", input_stream=body, content_type="image/png", headers=ASYNC).status_code
        for body in bodies
    ]
    # Then the second one is refused before its body is read
    assert answers == [202, 429]
    assert (bodies[0].closed, bodies[1].tell()) == (True, 0)


def test_two_api_processes_share_the_count(png: bytes) -> None:
    first = make_bench(rate_limit="1/hour")
    second = make_bench(client=first.redis, rate_limit="1/hour")
    assert [upload(first, png), upload(second, png)] == [202, 429]


def test_while_redis_is_away_the_answer_is_that_of_any_upload(png: bytes) -> None:
    bench = make_bench(rate_limit="1/hour")
    bench.lose_redis()
    answer = bench.upload(png)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.1:1001", "192.0.2.1"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:1001", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:1001", "fe80::/64"),
        ("[::ffff:192.0.2.1]:1001", "192.0.2.1"),
        ("nonsense", "unknown"),
        ("[192.0.2.1", "unknown"),
        ("", "unknown"),
    ],
)
def test_one_customers_addresses_count_as_one(address: str, network: str) -> None:
    assert network_of(address) == network

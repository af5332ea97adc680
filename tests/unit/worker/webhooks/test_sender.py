"""What comes of an attempt to deliver."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
from standardwebhooks.webhooks import Webhook

from shared.jobs.admission import JobRequest
from shared.jobs.deliveries import Deliveries, DeliveryOutcome, Settlement
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.webhook_secrets import secret_of
from shared.webhook_targets import TargetRefused
from tests.support.outcomes import succeed
from worker.webhooks.guarded_http import NoAnswer
from worker.webhooks.schedule import RetrySchedule
from worker.webhooks.sender import Sender

URL = "https://alice.example/hook"
SECRETS = [b"n" * 32, b"o" * 32]


class StubHttp:
    """Answers what it is given, and keeps what was sent."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.sent.append((url, headers, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    def __init__(self) -> None:
        client: Any = fakeredis.FakeRedis(decode_responses=True)
        jobs = Jobs(client, Queue(), JobLimits(10, 10_000, 1, 100, 100))
        picture = ImageInfo("0" * 64, "PNG", 1, 1, 4)
        jobs.admit("j", JobRequest(picture, 1, owner="alice", webhook=URL, traceparent="00-t-s-01"))
        succeed(jobs, "j", {}, {})
        self.deliveries = Deliveries(client, Queue())
        self.http = StubHttp(200)

    def send(self, answer: int | Exception, retry_seconds: float = 100, attempts: int = 1) -> Settlement:
        self.http.answer = answer
        [claimed] = self.deliveries.claim(1)
        sender = Sender(self.deliveries, self.http, SECRETS, RetrySchedule(retry_seconds))
        return sender.send(replace(claimed, attempts=attempts))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_attempt_is_signed_with_the_secrets_of_the_jobs_key(bench: Bench) -> None:
    bench.send(200)
    [(url, headers, body)] = bench.http.sent
    assert (url, headers["Content-Type"], headers["webhook-id"]) == (URL, "application/json", "msg_j")
    for secret in SECRETS:
        assert Webhook(secret_of(secret, "alice")).verify(body, dict(headers))["data"]["id"] == "j"


def test_a_trace_passes_through_a_sender_that_does_not_trace(bench: Bench) -> None:
    bench.send(200)
    [(_, headers, _)] = bench.http.sent
    assert headers["traceparent"] == "00-t-s-01"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_ends_the_delivery(bench: Bench, status: int) -> None:
    assert bench.send(status).outcome is DeliveryOutcome.DELIVERED
    assert bench.deliveries.backlog().open == 0


def test_410_ends_the_delivery(bench: Bench) -> None:
    assert bench.send(410).outcome is DeliveryOutcome.GONE
    assert bench.deliveries.backlog().open == 0


@pytest.mark.parametrize(
    ("answer", "reason", "answered"),
    [
        *((status, f"it answered {status}", True) for status in (100, 103, 301, 302, 307, 400, 404, 429, 500, 503)),
        (NoAnswer("it did not answer in time"), "it did not answer in time", False),
        (TargetRefused("its address is not public"), "its address is not public", True),
    ],
)
def test_anything_else_is_repeated_and_in_the_end_given_up(
    bench: Bench, answer: int | Exception, reason: str, answered: bool
) -> None:
    settlement = bench.send(answer)
    assert (settlement.outcome, settlement.reason, settlement.answered) == (DeliveryOutcome.FAILED, reason, answered)
    assert bench.deliveries.backlog().open == 1
    other = Bench()
    assert other.send(answer, retry_seconds=0).outcome is DeliveryOutcome.GIVEN_UP
    assert [given_up.reason for given_up in other.deliveries.given_up()] == [reason]


@pytest.mark.parametrize("sent", ["\x1b[2J\x1b[31mEVIL\r2026-01-01  forged\n", "ÿ" * 60_000])
def test_what_a_receiver_has_sent_cannot_be_seen_by_a_terminal_nor_fill_redis(sent: str) -> None:
    # Given a delivery that is given up because of an answer like this
    bench = Bench()
    reason = bench.send(NoAnswer(sent), retry_seconds=0).reason
    # Then the reason that is kept can be printed, and is short
    assert reason.isprintable() and len(reason) < 250
    assert [given_up.reason for given_up in bench.deliveries.given_up()] == [reason]


def test_pauses_grow_with_the_attempts(bench: Bench) -> None:
    assert 3 < bench.send(500).pause_seconds < 7
    assert Bench().send(500, retry_seconds=86_400, attempts=8).pause_seconds > 400

"""Deliveries keep to one contract: written by every end of a job, claimed host by host, settled once."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import QueueFull
from shared.jobs import calls
from shared.jobs.admission import JobRequest
from shared.jobs.deliveries import (
    LEASE_SECONDS,
    MAX_GIVEN_UP,
    MOST_PER_RECEIVER,
    MOST_PER_SILENT_RECEIVER,
    Deliveries,
    Delivery,
    DeliveryOutcome,
    Settlement,
)
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import DUE_KEY
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.support.claims import claim_job, new_claim
from tests.support.outcomes import fail, succeed
from tests.support.turned_clock import TurnedClock

QUEUE = Queue("p:")
PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=1)
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
MODEL = {"name": "m", "digest": "d"}
URL = "https://alice.example/hook?id=1"
DELIVERED = Settlement(DeliveryOutcome.DELIVERED, "200", answered=True)
GIVEN_UP = Settlement(DeliveryOutcome.GIVEN_UP, "it answered 500", answered=True)


def failed(pause_seconds: float, *, answered: bool = True) -> Settlement:
    return Settlement(DeliveryOutcome.FAILED, "500", answered, pause_seconds)


class Bench:
    """A service whose clock the test turns."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.turned = TurnedClock(client)
        self.jobs = Jobs(client, QUEUE, JobLimits(1000, 10_000, 1, 100, 100), clock=self.turned.clock)
        self.deliveries = Deliveries(client, QUEUE, self.turned.clock)

    def admit(self, job_id: str, url: str = URL, owner: str = "alice", **options: Any) -> None:
        self.jobs.admit(job_id, JobRequest(PICTURE, 1, owner=owner, webhook=url), **options)

    def end(self, *job_ids: str, url: str = URL, owner: str = "alice") -> None:
        """Have jobs with a webhook succeed."""
        for job_id in job_ids:
            self.admit(job_id, url, owner)
            succeed(self.jobs, job_id, LABELS, MODEL)

    def claim(self, most: int = 100) -> list[Delivery]:
        return self.deliveries.claim(most)

    def claimed(self, most: int = 100) -> list[str]:
        return [delivery.subject.id for delivery in self.claim(most)]


@pytest.fixture
def bench(each_client: Any) -> Bench:
    return Bench(each_client)


ENDS: dict[JobState, Callable[[Jobs], object]] = {
    JobState.SUCCEEDED: lambda jobs: succeed(jobs, "j", LABELS, MODEL),
    JobState.FAILED: lambda jobs: fail(jobs, "j", {"status": 422, "title": "t", "detail": "d"}),
    JobState.CANCELED: lambda jobs: jobs.cancel("j"),
    JobState.EXPIRED: lambda jobs: jobs.expire_all(["j"]),
}


@pytest.mark.parametrize("state", ENDS)
def test_every_end_of_a_job_with_a_webhook_is_delivered(bench: Bench, state: JobState) -> None:
    # Given a job with a webhook
    bench.admit("j")
    assert bench.claim() == []
    # When it ends
    ENDS[state](bench.jobs)
    # Then there is one delivery, with the job as it has ended
    (delivery,) = bench.claim()
    assert (delivery.url, delivery.attempts, delivery.waited_seconds, delivery.age_seconds) == (URL, 1, 0, 0)
    assert delivery.subject == bench.jobs.get("j")
    assert (delivery.subject.state, delivery.subject.owner) == (state, "alice")
    assert bench.claim() == []


def test_a_job_that_uses_up_its_attempts_is_delivered(bench: Bench) -> None:
    bench.admit("j")
    claimed = claim_job(bench.jobs, "j", new_claim())
    assert claimed is not None
    bench.jobs.requeue("j", claimed.execution, "its process was lost")
    (delivery,) = bench.claim()
    assert (delivery.subject.problem or {})["title"] == "Too many attempts"


def test_a_cached_result_is_delivered(bench: Bench) -> None:
    bench.admit("j", known=KnownResult(LABELS, MODEL))
    (delivery,) = bench.claim()
    assert (delivery.subject.result, delivery.subject.state) == (LABELS, JobState.SUCCEEDED)


def test_a_job_without_a_webhook_leaves_no_key(bench: Bench) -> None:
    bench.jobs.admit("j", JobRequest(PICTURE, 1))
    succeed(bench.jobs, "j", LABELS, MODEL)
    bench.jobs.admit("k", JobRequest(PICTURE, 1), known=KnownResult(LABELS, MODEL))
    assert list(bench.client.scan_iter("p:deliver*")) == []


def test_a_delivery_outlives_the_record_of_its_job(bench: Bench) -> None:
    bench.end("j")
    bench.jobs.delete("j")
    (delivery,) = bench.claim()
    assert delivery.subject.result == LABELS


def test_a_delivered_one_is_gone(bench: Bench) -> None:
    # When a delivery is made
    bench.end("j")
    (delivery,) = bench.claim()
    assert bench.deliveries.settle(delivery, DELIVERED)
    # Then it is not due again, and nothing but its outcome and a note of it is left
    bench.turned.wait(86_400)
    assert bench.claim() == []
    left = {key for key in bench.client.scan_iter("p:deliver*") if not key.startswith("p:deliveries:claimed:")}
    assert left == {"p:delivery:j", "p:deliveries:outcomes", "p:deliveries:clock"}
    assert 0 < bench.client.ttl("p:delivery:j") <= 60
    backlog = bench.deliveries.backlog()
    assert (backlog.open, backlog.overdue_seconds) == (0, 0)
    assert backlog.attempts == {"delivered": 1, "gone": 0, "failed": 0, "given_up": 0}


def test_a_failed_attempt_is_repeated_after_its_pause(bench: Bench) -> None:
    # Given a failed attempt
    bench.end("j")
    (delivery,) = bench.claim()
    assert bench.deliveries.settle(delivery, failed(10))
    # When the pause is not over, Then nothing is due; And then it is
    bench.turned.wait(9.9)
    assert bench.claim() == []
    bench.turned.wait(0.1)
    (again,) = bench.claim()
    assert (again.attempts, again.waited_seconds, again.age_seconds) == (2, 10, 10)
    assert again.message_id == delivery.message_id
    assert bench.deliveries.backlog().attempts["failed"] == 1


def test_deliveries_that_are_given_up_are_listed(bench: Bench) -> None:
    for job_id in "ab":
        bench.end(job_id)
        (delivery,) = bench.claim()
        bench.deliveries.settle(delivery, GIVEN_UP)
    assert bench.claim() == []
    newest, oldest = bench.deliveries.given_up()
    assert (newest.job_id, oldest.job_id, newest.url, newest.reason) == ("b", "a", URL, "it answered 500")
    assert newest.attempts == 1 and newest.finished_ms == bench.turned.now_ms
    assert bench.deliveries.backlog().open == 0


def test_the_list_of_those_given_up_is_bounded(bench: Bench) -> None:
    bench.client.rpush("p:deliveries:given_up", *["x"] * (MAX_GIVEN_UP + 5))
    bench.end("j")
    bench.deliveries.settle(bench.claim()[0], GIVEN_UP)
    assert bench.client.llen("p:deliveries:given_up") == MAX_GIVEN_UP


def test_a_delivery_whose_sender_was_lost_is_due_when_its_lease_ends(bench: Bench) -> None:
    bench.end("j")
    (lost,) = bench.claim()
    bench.turned.wait(LEASE_SECONDS - 0.1)
    assert bench.claim() == []
    bench.turned.wait(0.1)
    (again,) = bench.claim()
    assert again.attempts == 2
    # A late end of the first attempt changes nothing
    assert not bench.deliveries.settle(lost, DELIVERED)
    assert bench.deliveries.settle(again, DELIVERED)


def test_a_late_end_counts_while_nobody_else_has_the_delivery(bench: Bench) -> None:
    # Given a sender that is late, and a delivery that is due again and has not been claimed
    bench.end(*"ab")
    late, *others = bench.claim()
    for other in others:
        bench.deliveries.settle(other, DELIVERED)
    bench.turned.wait(LEASE_SECONDS)
    assert bench.claimed(most=0) == []
    # When it ends its attempt, Then that counts
    assert bench.deliveries.settle(late, DELIVERED)
    assert bench.claim() == []
    assert bench.client.hgetall("p:deliveries:sending") == {}


def test_a_receiver_has_only_so_many_at_a_time_and_leaves_the_others_room(bench: Bench) -> None:
    # Given many deliveries to one receiver, spelled in several ways, and later ones to others: another host,
    # another port, and the same receiver named by another owner
    spellings = [URL, "https://Alice.Example/x", "https://alice.example./", "https://alice.example:443/"]
    for number in range(MOST_PER_RECEIVER + 4):
        bench.end(f"a{number}", url=spellings[number % 4])
    bench.turned.wait(1)
    bench.end("b", url="https://bob.example")
    bench.end("c", url="https://alice.example:8443/x")
    bench.end("d", url=URL, owner="bob")
    # When deliveries are claimed, Then the receiver has its share, and the others are not held up
    claimed = {delivery.subject.id: delivery for delivery in bench.claim()}
    assert len(claimed) == MOST_PER_RECEIVER + 3 and claimed.keys() >= {"b", "c", "d"}
    assert bench.claim() == []
    # And when one of its own ends, there is room for one more
    bench.deliveries.settle(claimed["a0"], DELIVERED)
    assert len(bench.claimed()) == 1


def test_a_claim_takes_no_more_than_wanted_the_longest_due_host_first(bench: Bench) -> None:
    for job_id, url in (("a", "https://a.example"), ("b", "https://b.example"), ("c", "https://c.example")):
        bench.end(job_id, url=url)
        bench.turned.wait(1)
    assert bench.claimed(2) == ["a", "b"]
    assert bench.claimed(2) == ["c"]


def test_a_host_that_does_not_answer_has_fewer_at_a_time(bench: Bench) -> None:
    # Given a host that does not answer
    bench.end(*(f"j{number}" for number in range(MOST_PER_RECEIVER)))
    (first,) = bench.claim(1)
    bench.deliveries.settle(first, failed(0, answered=False))
    # Then fewer attempts at a time are made
    probe, *others = bench.claim()
    assert len(others) == MOST_PER_SILENT_RECEIVER - 1
    assert bench.claim() == []
    # Until it answers
    bench.deliveries.settle(probe, DELIVERED)
    assert len(bench.claim()) == MOST_PER_RECEIVER - MOST_PER_SILENT_RECEIVER


@pytest.mark.parametrize("seconds", [-60, -86_400])
def test_an_attempt_is_repeated_in_time_though_the_clock_was_set_back(bench: Bench, seconds: int) -> None:
    # Given a failed delivery, one whose sender was lost, and a clock that is set back
    bench.end(*"ab")
    delivery, _ = bench.claim()
    bench.deliveries.settle(delivery, failed(20))
    bench.claim()
    bench.turned.set(seconds)
    bench.claim()
    # When the pause and the lease have passed, Then both are due
    bench.turned.wait(20)
    assert bench.claimed() == [delivery.subject.id]
    bench.turned.wait(10)
    assert len(bench.claimed()) == 1


def test_the_first_claim_takes_what_was_due_before_the_clock_was_set_back(bench: Bench) -> None:
    bench.end(*"ab")
    bench.turned.set(-3600)
    assert bench.claimed() == ["a", "b"]


@pytest.mark.parametrize("write", ["end", "settle"])
def test_a_delivery_written_while_the_clock_was_ahead_is_not_late(bench: Bench, write: str) -> None:
    # Given a clock that is set ahead
    bench.end("a")
    (delivery,) = bench.claim()
    bench.turned.set(3600)
    # When a job ends or an attempt fails, and the clock is set back before a sender looks again
    bench.deliveries.settle(delivery, DELIVERED if write == "end" else failed(20))
    if write == "end":
        bench.end("b")
    bench.turned.set(-3600)
    # Then the delivery is due at once, or after its pause
    assert bench.claimed() == (["b"] if write == "end" else [])
    bench.turned.wait(20)
    assert bench.claimed() == ([] if write == "end" else ["a"])


def test_a_delivery_that_redis_has_lost_holds_up_no_others(bench: Bench) -> None:
    bench.end(*"ab")
    bench.client.delete("p:delivery:a")
    assert bench.claimed() == ["b"]
    assert bench.deliveries.backlog().open == 1


def test_uploads_with_a_webhook_are_refused_while_too_many_are_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given as many open deliveries as are allowed
    monkeypatch.setattr(calls, "MAX_DELIVERIES", 2)
    bench.end(*"ab")
    # When a job is admitted, Then it is refused with a webhook, also with a cached result
    for known in (None, KnownResult(LABELS, MODEL)):
        with pytest.raises(QueueFull, match="webhooks"):
            bench.admit("c", known=known)
    # And accepted without one
    bench.jobs.admit("c", JobRequest(PICTURE, 1))
    # And with one when a delivery has ended
    bench.deliveries.settle(bench.claim()[0], DELIVERED)
    bench.admit("d")


def test_the_age_of_the_oldest_due_delivery_is_known(each_client: Any) -> None:
    # Given a delivery that has been due for a minute, by Redis' own clock
    jobs = Jobs(each_client, QUEUE, JobLimits(10, 10_000, 1, 100, 100))
    jobs.admit("j", JobRequest(PICTURE, 1, webhook=URL))
    succeed(jobs, "j", LABELS, MODEL)
    each_client.zadd(f"p:{DUE_KEY}", {"alice.example": each_client.time()[0] * 1000 - 60_000})
    backlog = Deliveries(each_client, QUEUE).backlog()
    assert backlog.open == 1
    assert 59 <= backlog.overdue_seconds <= 70

"""Deliveries of job outcomes to webhooks: claims them under a lease, settles and counts them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, cast

import redis

from shared.batches.models import Batch
from shared.clock import SYSTEM_CLOCK, Clock
from shared.jobs.models import Job
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import (
    DELIVERIES_CLAIMED_PREFIX,
    DELIVERIES_CLOCK_KEY,
    DELIVERIES_KEY,
    DELIVERY_LEASES_KEY,
    DELIVERY_PREFIX,
    DUE_KEY,
    GIVEN_UP_KEY,
    OUTCOMES_KEY,
    SENDING_KEY,
    SILENT_KEY,
)
from shared.jobs.script import JobScript

# Twice as long as an attempt may take.
LEASE_SECONDS = 30
# How many deliveries all senders together send to one receiver (a host and port, for each owner) at a time. Fewer while
# it does not answer: receivers that hang must leave slots for others.
MOST_PER_RECEIVER = 16
MOST_PER_SILENT_RECEIVER = 4
MAX_GIVEN_UP = 1000


class DeliveryOutcome(StrEnum):
    """Outcome of an attempt; the values are used in Redis and as labels of a metric."""

    DELIVERED = "delivered"
    """The receiver answered with a 2xx status."""
    GONE = "gone"
    """The receiver answered 410: it wants no more attempts."""
    FAILED = "failed"
    """The attempt is repeated later."""
    GIVEN_UP = "given_up"
    """This was the last attempt."""


@dataclass(frozen=True)
class Delivery:
    """A claimed delivery of the outcome of `subject`, a job or a batch, to its webhook.

    `attempts` includes this one; `waited_seconds` is the sum of the pauses, `age_seconds` the time since the end.
    """

    attempts: int
    waited_seconds: float
    age_seconds: float
    execution: str
    subject: Job | Batch

    @property
    def url(self) -> str:
        """The URL that the outcome is sent to."""
        return self.subject.webhook

    @property
    def message_id(self) -> str:
        """The `webhook-id`, the same for every attempt."""
        return f"msg_{self.subject.id}"


@dataclass(frozen=True)
class Settlement:
    """How an attempt ended, the `reason`, and whether the receiver `answered`; a failed attempt has a pause."""

    outcome: DeliveryOutcome
    reason: str
    answered: bool
    pause_seconds: float = 0


@dataclass(frozen=True)
class GivenUp:
    """A delivery that was given up: id of the job or batch, URL, number of attempts, and why the last one failed."""

    job_id: str
    url: str
    attempts: int
    reason: str
    finished_ms: int


@dataclass(frozen=True)
class DeliveryBacklog:
    """Number of open deliveries, seconds for which the oldest due one has been due, attempts by outcome."""

    open: int
    overdue_seconds: float
    attempts: Mapping[str, int]


class Deliveries:
    """Reads and changes deliveries; every change is one atomic script. A job's end writes them (`finish.lua`)."""

    def __init__(self, client: redis.Redis, queue: Queue, clock: Clock = SYSTEM_CLOCK) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue
        self._claim = JobScript(client, "claim_deliveries", clock)
        self._settle = JobScript(client, "settle_delivery", clock)

    def claim(self, most: int) -> list[Delivery]:
        """Claim up to `most` due deliveries, within the limit of attempts at a time for each receiver."""
        key, execution = self._queue.key, secrets.token_hex(16)
        call = self._claim.call(
            keys={
                "deliveries_key": key(DELIVERIES_KEY),
                "leases_key": key(DELIVERY_LEASES_KEY),
                "due_key": key(DUE_KEY),
                "sending_key": key(SENDING_KEY),
                "silent_key": key(SILENT_KEY),
                "deliveries_clock_key": key(DELIVERIES_CLOCK_KEY),
                "claimed_key": key(DELIVERIES_CLAIMED_PREFIX + execution),
            },
            args={
                "execution": execution,
                "lease_ms": LEASE_SECONDS * 1000,
                "most": most,
                "most_per_receiver": MOST_PER_RECEIVER,
                "most_per_silent_receiver": MOST_PER_SILENT_RECEIVER,
                "delivery_prefix": key(DELIVERY_PREFIX),
            },
        )
        now_ms, *found = call.run(self._redis)
        return [_delivery(int(now_ms), execution, *parts) for parts in found]

    def settle(self, delivery: Delivery, settlement: Settlement) -> bool:
        """End an attempt; False if its lease has ended and another sender has claimed the delivery."""
        key = self._queue.key
        given_up = GivenUp(
            delivery.subject.id, delivery.url, delivery.attempts, settlement.reason, delivery.subject.finished_ms
        )
        call = self._settle.call(
            keys={
                "delivery_key": key(DELIVERY_PREFIX + delivery.subject.id),
                "deliveries_key": key(DELIVERIES_KEY),
                "due_key": key(DUE_KEY),
                "leases_key": key(DELIVERY_LEASES_KEY),
                "sending_key": key(SENDING_KEY),
                "silent_key": key(SILENT_KEY),
                "given_up_key": key(GIVEN_UP_KEY),
                "outcomes_key": key(OUTCOMES_KEY),
                "deliveries_clock_key": key(DELIVERIES_CLOCK_KEY),
            },
            args={
                "id": delivery.subject.id,
                "execution": delivery.execution,
                "outcome": settlement.outcome.value,
                "answered": int(settlement.answered),
                "pause_ms": int(settlement.pause_seconds * 1000),
                "entry": json.dumps(asdict(given_up)),
                "max_given_up": MAX_GIVEN_UP,
            },
        )
        return bool(call.run(self._redis))

    def given_up(self) -> Sequence[GivenUp]:
        """Return the deliveries that were given up most recently, newest first."""
        entries = cast(list[str], self._redis.lrange(self._queue.key(GIVEN_UP_KEY), 0, -1))
        return [GivenUp(**json.loads(entry)) for entry in entries]

    def backlog(self) -> DeliveryBacklog:
        """Return the current backlog, in one round trip."""
        with self._redis.pipeline() as pipe:
            pipe.time()
            pipe.zcard(self._queue.key(DELIVERIES_KEY))
            pipe.zrange(self._queue.key(DUE_KEY), 0, 0, withscores=True)
            pipe.hgetall(self._queue.key(OUTCOMES_KEY))
            (seconds, microseconds), open_count, earliest, counted = pipe.execute()
        now = seconds + microseconds / 1_000_000
        overdue_seconds = max(0.0, now - earliest[0][1] / 1000) if earliest else 0.0
        attempts = {outcome.value: int(counted.get(outcome, 0)) for outcome in DeliveryOutcome}
        return DeliveryBacklog(open_count, overdue_seconds, attempts)


def _delivery(now_ms: int, execution: str, subject_id: bytes, flat: list[bytes]) -> Delivery:
    fields = _as_dict([part.decode() for part in flat])
    record = _as_dict(json.loads(fields["record"]))
    kind = Batch if "opened_ms" in record else Job
    subject = kind.from_hash(subject_id.decode(), record)
    return Delivery(
        attempts=int(fields["attempts"]),
        waited_seconds=int(fields["waited_ms"]) / 1000,
        age_seconds=(now_ms - subject.finished_ms) / 1000,
        execution=execution,
        subject=subject,
    )


def _as_dict(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))

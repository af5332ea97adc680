"""Makes one attempt to send a delivery, and settles it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from shared.jobs.deliveries import Deliveries, Delivery, DeliveryOutcome, Settlement
from shared.log import about_job
from shared.tracing import NO_TRACING, Tracing
from shared.webhook_secrets import secret_of
from shared.webhook_targets import TargetRefused
from worker.webhooks.guarded_http import NoAnswer
from worker.webhooks.message import body_of, signed_headers
from worker.webhooks.schedule import RetrySchedule

log = logging.getLogger(__name__)

MAX_REASON_LENGTH = 200
HEADERS = {"Content-Type": "application/json", "User-Agent": "topthree-webhooks"}


class Http(Protocol):
    """Sends POST requests, as GuardedHttp does."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a POST request and return the status of the answer; raises TargetRefused, NoAnswer."""


class Sender:
    """Makes attempts to deliver."""

    def __init__(
        self,
        deliveries: Deliveries,
        http: Http,
        secrets: Sequence[bytes],
        schedule: RetrySchedule,
        clock: Callable[[], float] = time.time,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        """`clock` gives the time since the epoch in seconds, for the signature."""
        self._tracing = tracing
        self._deliveries = deliveries
        self._http = http
        self._secrets = secrets
        self._schedule = schedule
        self._clock = clock

    def send(self, delivery: Delivery) -> Settlement:
        """Make one attempt and settle it."""
        subject = delivery.subject
        with about_job(subject.id, subject.request_id, subject.traceparent):
            with self._tracing.span("webhook", subject.traceparent, kind="client") as span:
                settlement = self._attempt(delivery, span.traceparent)
                span.describe({"topthree.attempt": delivery.attempts, "topthree.outcome": settlement.outcome.value})
                if settlement.outcome is not DeliveryOutcome.DELIVERED:
                    span.fail(settlement.reason)
            if not self._deliveries.settle(delivery, settlement):
                log.warning("An attempt took too long: another sender repeats it")
            return settlement

    def _attempt(self, delivery: Delivery, traceparent: str) -> Settlement:
        body = body_of(delivery.subject)
        secrets = [secret_of(secret, delivery.subject.owner) for secret in self._secrets]
        headers = HEADERS | signed_headers(delivery.message_id, self._clock(), body, secrets)
        if traceparent:
            headers["traceparent"] = traceparent
        try:
            status = self._http.post(delivery.url, headers, body)
        except (TargetRefused, NoAnswer) as error:
            # A refused target takes no time, so its receiver does not count as silent.
            return self._failed(delivery, str(error), answered=isinstance(error, TargetRefused))
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Settlement(DeliveryOutcome.DELIVERED, str(status), answered=True)
        if status == HTTPStatus.GONE:
            log.warning("Webhook ended: the receiver answered 410, so it wants no more attempts")
            return Settlement(DeliveryOutcome.GONE, str(status), answered=True)
        return self._failed(delivery, f"it answered {status}", answered=True)

    def _failed(self, delivery: Delivery, told: str, *, answered: bool) -> Settlement:
        reason = _plain(told)
        pause_seconds = self._schedule.pause_seconds(delivery)
        if pause_seconds is None:
            log.warning("Webhook given up after %d attempts: %s", delivery.attempts, reason)
            return Settlement(DeliveryOutcome.GIVEN_UP, reason, answered)
        log.info("Webhook attempt %d failed: %s; the next one in %.0f s", delivery.attempts, reason, pause_seconds)
        return Settlement(DeliveryOutcome.FAILED, reason, answered, pause_seconds)


def _plain(reason: str) -> str:
    """Return a reason that is safe for logs and terminals: it may contain text from the receiver."""
    shown = "".join(character if character.isprintable() else "?" for character in reason[:MAX_REASON_LENGTH])
    return shown if len(reason) <= MAX_REASON_LENGTH else f"{shown} …"

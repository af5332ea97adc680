"""The calls of the scripts that change jobs: which keys and arguments each of them gets."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import redis

from shared.clock import Clock
from shared.images.store import IMAGE_TTL_SECONDS
from shared.jobs.admission import MAX_DELIVERIES, IdempotencyKey, JobRequest
from shared.jobs.backlog import MAX_INTERVAL_MS
from shared.jobs.claims import Claim
from shared.jobs.history import HISTORY_TTL_SECONDS
from shared.jobs.limits import JobLimits
from shared.jobs.models import BATCH_FORMAT_VERSION, FORMAT_VERSION, TRANSITIONS, JobState, Outcome
from shared.jobs.queue import TASK_NAME, Queue
from shared.jobs.redis_keys import (
    BATCH_PREFIX,
    BATCHES_KEY,
    BYTES_KEY,
    CLAIMED_PREFIX,
    DEADLINES_KEY,
    DELIVERIES_CLOCK_KEY,
    DELIVERIES_KEY,
    DELIVERY_PREFIX,
    DRAIN_KEY,
    DUE_KEY,
    ENDED_CHANNEL,
    FAILED_KEY,
    FOREIGN_KEY,
    GONE_PREFIX,
    HISTORY_PREFIX,
    JOB_PREFIX,
    KEPT_BYTES_KEY,
    KEPT_KEY,
    LEASES_KEY,
    OPEN_KEY,
    PICTURE_PREFIX,
    REACHED_KEY,
)
from shared.jobs.script import JobScript, ScriptCall
from shared.result_cache import KnownResult
from shared.webhook_targets import receiver_of

# No client retries after a day.
IDEMPOTENCY_TTL_SECONDS = 24 * 3600
# Fields of a request that are written to the job's record only if they are set.
OPTIONAL_FIELDS = ("owner", "request_id", "traceparent", "min_confidence", "retry_of", "webhook")
# How many messages of other programs are kept for inspection.
MAX_FOREIGN = 100


class JobCalls:
    """Builds calls of the scripts for one queue; `Jobs` runs them and reads their answers."""

    def __init__(self, client: redis.Redis, queue: Queue, limits: JobLimits, clock: Clock) -> None:
        self._queue = queue
        self._limits = limits
        self._admit = JobScript(client, "admit", clock)
        self._claim = JobScript(client, "claim", clock)
        self._finish = JobScript(client, "finish", clock)
        self._requeue = JobScript(client, "requeue", clock)

    def admit(
        self,
        job_id: str,
        request: JobRequest,
        key: IdempotencyKey | None,
        known: KnownResult | None,
        picture: bytes,
    ) -> ScriptCall:
        """Return a call that writes a job, as `Jobs.admit` describes."""
        return self._admit.call(
            keys={
                **self._record_keys(job_id),
                "reached_key": self._queue.key(REACHED_KEY),
                "queue_key": self._queue.list_key,
                "idempotency_key": self._queue.key(key.redis_key) if key else "",
            },
            args={
                "id": job_id,
                "picture_bytes": request.picture.bytes,
                "max_open_jobs": self._limits.max_open_jobs,
                "max_stored_bytes": self._limits.max_stored_bytes,
                "deadline_ms": int(request.deadline_seconds * 1000),
                "fingerprint": key.fingerprint if key else "",
                "idempotency_ttl_seconds": self._retry_ttl_seconds if request.retry_of else IDEMPOTENCY_TTL_SECONDS,
                "result_ttl_seconds": self._limits.result_ttl_seconds,
                "gone_ttl_seconds": self._limits.gone_ttl_seconds,
                "known": int(known is not None),
                "message": self._queue.message,
                "picture": picture,
                "picture_ttl_seconds": IMAGE_TTL_SECONDS,
                "webhook": request.webhook,
                "max_deliveries": MAX_DELIVERIES,
                "history_prefix": self._queue.key(HISTORY_PREFIX),
                "history_ttl_seconds": HISTORY_TTL_SECONDS,
                "fields": flat_json(record_fields(request, known)),
            },
        )

    def claim(self, claim: Claim, job_id: str, valid_until_ms: int) -> ScriptCall:
        """Return a call that claims nothing after `valid_until_ms` of Redis' clock (0: always valid)."""
        return self._claim.call(
            keys={
                "queue_key": self._queue.list_key,
                "leases_key": self._queue.key(LEASES_KEY),
                "reached_key": self._queue.key(REACHED_KEY),
                "foreign_key": self._queue.key(FOREIGN_KEY),
                "claimed_key": self._queue.key(CLAIMED_PREFIX + claim.execution),
            },
            args={
                "wanted": job_id,
                "execution": claim.execution,
                "worker": claim.worker,
                "lease_ms": int(claim.lease_seconds * 1000),
                "valid_until_ms": valid_until_ms,
                "format_version": BATCH_FORMAT_VERSION,
                "job_prefix": self._queue.key(JOB_PREFIX),
                "picture_prefix": self._queue.key(PICTURE_PREFIX),
                "task": TASK_NAME,
                "most": claim.most,
                "max_foreign": MAX_FOREIGN,
            },
        )

    def finish(
        self, job_id: str, outcome: Outcome, execution: str, allowed: Sequence[JobState] | None = None
    ) -> ScriptCall:
        """Return a call that ends a job which is in one of the `allowed` states, by default all that may move there."""
        entry = outcome.entry
        if allowed is None:
            allowed = [origin for origin, targets in TRANSITIONS.items() if outcome.state in targets]
        return self._finish.call(
            keys={
                **self._record_keys(job_id),
                "drain_key": self._queue.key(DRAIN_KEY),
                "failed_key": self._queue.key(FAILED_KEY),
                "cache_key": self._queue.key(entry.key) if entry else "",
                "kept_key": self._queue.key(KEPT_KEY),
                "kept_bytes_key": self._queue.key(KEPT_BYTES_KEY),
                "batches_key": self._queue.key(BATCHES_KEY),
            },
            args={
                "id": job_id,
                "state": outcome.state.value,
                "allowed": ",".join(allowed),
                "by": secrets.token_hex(8),
                "execution": execution,
                "result_ttl_seconds": self._limits.result_ttl_seconds,
                "gone_ttl_seconds": self._limits.gone_ttl_seconds,
                "channel": self._queue.key(ENDED_CHANNEL),
                "cached": entry.value if entry else "",
                "cache_ttl_seconds": entry.ttl_seconds if entry else 0,
                "max_interval_ms": MAX_INTERVAL_MS,
                "fields": flat_json(outcome.fields),
                "kept_ttl_seconds": self._limits.failed_image_ttl_seconds if outcome.retryable else 0,
                "max_kept": self._limits.max_open_jobs,
                "max_kept_bytes": self._limits.max_failed_image_bytes,
                "batch_prefix": self._queue.key(BATCH_PREFIX),
                "delivery_prefix": self._queue.key(DELIVERY_PREFIX),
                "batch_ttl_seconds": self._limits.batch_result_ttl_seconds,
                "history_prefix": self._queue.key(HISTORY_PREFIX),
                "history_ttl_seconds": HISTORY_TTL_SECONDS,
            },
        )

    def requeue(
        self, job_id: str, execution: str, *, counted: bool, publish: bool, lease_ended: bool, died: bool
    ) -> ScriptCall:
        """Return a call that gives up an attempt, as `Jobs.requeue` describes."""
        return self._requeue.call(
            keys={
                "job_key": self._queue.key(JOB_PREFIX + job_id),
                "leases_key": self._queue.key(LEASES_KEY),
                "queue_key": self._queue.list_key,
            },
            args={
                "id": job_id,
                "execution": execution,
                "by": secrets.token_hex(8),
                "max_attempts": self._limits.attempts,
                "counted": int(counted),
                "publish": int(publish),
                "lease_ended": int(lease_ended),
                "message": self._queue.message,
                "died": int(died),
            },
        )

    @property
    def _retry_ttl_seconds(self) -> int:
        """How long a retry is remembered: at least as long as the record of the failed job can be read."""
        limits = self._limits
        return max(limits.result_ttl_seconds, limits.failed_image_ttl_seconds, IDEMPOTENCY_TTL_SECONDS)

    def _record_keys(self, job_id: str) -> dict[str, str]:
        """Return the keys used both to admit and to end a job."""
        key = self._queue.key
        return {
            "job_key": key(JOB_PREFIX + job_id),
            "open_key": key(OPEN_KEY),
            "leases_key": key(LEASES_KEY),
            "bytes_key": key(BYTES_KEY),
            "deadlines_key": key(DEADLINES_KEY),
            "gone_key": key(GONE_PREFIX + job_id),
            "picture_key": key(PICTURE_PREFIX + job_id),
            "delivery_key": key(DELIVERY_PREFIX + job_id),
            "deliveries_key": key(DELIVERIES_KEY),
            "due_key": key(DUE_KEY),
            "deliveries_clock_key": key(DELIVERIES_CLOCK_KEY),
        }


def record_fields(request: JobRequest, known: KnownResult | None) -> dict[str, Any]:
    """Return the fields of a new job's record, with those of its outcome if that is `known`."""
    fields = {"format_version": FORMAT_VERSION, "top": request.top, **asdict(request.picture)}
    fields |= {name: value for name in OPTIONAL_FIELDS if (value := getattr(request, name))}
    if request.webhook:
        fields["receiver"] = receiver_of(request.webhook, request.owner)
    if known:
        fields |= Outcome.succeeded(known.first(request.top), known.model).fields
    return fields


def flat_json(fields: Mapping[str, Any]) -> str:
    """Return names and values as scripts take them: as alternating texts in a JSON list."""
    return json.dumps(flat(fields))


def flat(fields: Mapping[str, Any]) -> list[str]:
    """Return alternating names and values."""
    return [str(part) for pair in fields.items() for part in pair]

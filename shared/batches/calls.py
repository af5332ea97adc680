"""The calls of the scripts that change batches: which keys and arguments each of them gets."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from shared.batches.models import BatchRequest, BatchState, NewPicture
from shared.clock import Clock
from shared.images.store import IMAGE_TTL_SECONDS
from shared.jobs.admission import MAX_DELIVERIES
from shared.jobs.calls import flat, flat_json, record_fields
from shared.jobs.history import HISTORY_TTL_SECONDS
from shared.jobs.limits import JobLimits
from shared.jobs.models import BATCH_FORMAT_VERSION
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import (
    BATCH_PREFIX,
    BATCHES_KEY,
    BYTES_KEY,
    DELIVERIES_CLOCK_KEY,
    DELIVERIES_KEY,
    DELIVERY_PREFIX,
    DUE_KEY,
    ENDED_CHANNEL,
    GONE_PREFIX,
    HISTORY_PREFIX,
    JOB_PREFIX,
    OPEN_KEY,
    PICTURE_PREFIX,
    REACHED_KEY,
)
from shared.jobs.script import JobScript, ScriptCall
from shared.webhook_targets import receiver_of

MAX_OPEN_BATCHES = 10_000
# Each takes about 600 bytes in Redis until the batch is forgotten.
MAX_PICTURES = 100_000


@dataclass(frozen=True)
class RepeatableRequest:
    """A request to add pictures that may be repeated: its key, unique within the batch, its fingerprint and answer."""

    key: str
    fingerprint: str
    answer: str

    @property
    def field(self) -> str:
        """The key, hashed, because clients may choose any text of any length."""
        return hashlib.sha256(self.key.encode()).hexdigest()


class BatchCalls:
    """Builds calls of the scripts; `Batches` runs them and reads their answers."""

    def __init__(self, client: redis.Redis, queue: Queue, limits: JobLimits, clock: Clock) -> None:
        self._queue = queue
        self._limits = limits
        self._open = JobScript(client, "open_batch", clock)
        self._add = JobScript(client, "add_to_batch", clock)
        self._settle = JobScript(client, "settle_batch", clock)

    def open(self, batch_id: str, request: BatchRequest) -> ScriptCall:
        """Return a call that writes an empty batch."""
        key = self._queue.key
        fields: dict[str, Any] = {
            name: value
            for name in ("top", "min_confidence", "webhook", "owner", "request_id", "traceparent")
            if (value := getattr(request, name))
        }
        if request.webhook:
            fields["receiver"] = receiver_of(request.webhook, request.owner)
        return self._open.call(
            keys={
                "batch_key": self._key(batch_id),
                "batches_key": key(BATCHES_KEY),
                "deliveries_key": key(DELIVERIES_KEY),
            },
            args={
                "id": batch_id,
                "max_open": MAX_OPEN_BATCHES,
                "webhook": int(bool(request.webhook)),
                "max_deliveries": MAX_DELIVERIES,
                "open_ttl_seconds": self._open_ttl_seconds,
                "fields": flat_json(fields),
            },
        )

    def add(
        self, batch_id: str, pictures: Sequence[NewPicture], request: RepeatableRequest | None, *, in_redis: bool
    ) -> ScriptCall:
        """Return a call that admits the pictures, as `Batches.add` describes."""
        return self._add.call(
            keys={
                "batch_key": self._key(batch_id),
                "batches_key": self._queue.key(BATCHES_KEY),
                "open_key": self._queue.key(OPEN_KEY),
                "bytes_key": self._queue.key(BYTES_KEY),
                "reached_key": self._queue.key(REACHED_KEY),
                "queue_key": self._queue.list_key,
            },
            args={
                "id": batch_id,
                "request": request.field if request else "",
                "fingerprint": request.fingerprint if request else "",
                "answer": request.answer if request else "",
                "max_open_jobs": self._limits.max_open_jobs,
                "max_stored_bytes": self._limits.max_stored_bytes,
                "max_pictures": MAX_PICTURES,
                "result_ttl_seconds": self._limits.result_ttl_seconds,
                "gone_ttl_seconds": self._limits.gone_ttl_seconds,
                "open_ttl_seconds": self._open_ttl_seconds,
                "picture_ttl_seconds": IMAGE_TTL_SECONDS,
                "in_redis": int(in_redis),
                "message": self._queue.message,
                "job_prefix": self._queue.key(JOB_PREFIX),
                "gone_prefix": self._queue.key(GONE_PREFIX),
                "picture_prefix": self._queue.key(PICTURE_PREFIX),
                "history_prefix": self._queue.key(HISTORY_PREFIX),
                "history_ttl_seconds": HISTORY_TTL_SECONDS,
                "pictures": json.dumps([_parts(picture) for picture in pictures]),
            },
        )

    def settle(self, batch_id: str, wanted: BatchState) -> ScriptCall:
        """Return a call that closes the batch, or cancels or deletes it, as `wanted` says."""
        key = self._queue.key
        return self._settle.call(
            keys={
                "batches_key": key(BATCHES_KEY),
                "deliveries_key": key(DELIVERIES_KEY),
                "due_key": key(DUE_KEY),
                "deliveries_clock_key": key(DELIVERIES_CLOCK_KEY),
            },
            args={
                "id": batch_id,
                "wanted": wanted.value,
                "batch_prefix": key(BATCH_PREFIX),
                "delivery_prefix": key(DELIVERY_PREFIX),
                "batch_ttl_seconds": self._limits.batch_result_ttl_seconds,
                "channel": key(ENDED_CHANNEL),
            },
        )

    def _key(self, batch_id: str) -> str:
        return self._queue.key(BATCH_PREFIX + batch_id)

    @property
    def _open_ttl_seconds(self) -> int:
        """How long a batch that has not ended is kept after it was last added to: longer than any job may stay open."""
        return max(self._limits.batch_result_ttl_seconds, 2 * IMAGE_TTL_SECONDS)


def _parts(picture: NewPicture) -> list[Any]:
    request, known = picture.request, picture.known
    fields = record_fields(request, known) | {"format_version": BATCH_FORMAT_VERSION}
    outcome = (
        json.dumps({"status": "succeeded", "result": known.first(request.top), "model": known.model}) if known else ""
    )
    return [picture.job_id, json.dumps([picture.job_id, picture.name]), request.picture.bytes, flat(fields), outcome]

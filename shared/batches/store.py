"""The batches in Redis: their records, pictures and outcomes; every change is one atomic script."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from shared.batches import calls
from shared.batches.calls import BatchCalls, RepeatableRequest
from shared.batches.models import Batch, BatchRequest, BatchResult, BatchState, NewPicture
from shared.clock import SYSTEM_CLOCK, Clock
from shared.errors import (
    BatchClosed,
    GoneBatch,
    KeyReused,
    NotReplicated,
    QueueFull,
    TooManyWebhooks,
    UnknownBatch,
)
from shared.jobs.admission import MAX_DELIVERIES
from shared.jobs.backlog import BacklogReader
from shared.jobs.limits import JobLimits
from shared.jobs.models import labels_from
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import BATCH_PREFIX, BATCHES_KEY, PICTURE_PREFIX
from shared.jobs.replication import Replication

# How many pictures are read from Redis at a time.
PAGE = 200
UNKNOWN = "There is no batch with this id."
CLOSED = "This batch is closed: it takes no more pictures. Open another one."
# Those whose admission was not tried within this time are deleted.
STAGED_SECONDS = 3600
# Fewer round trips, but not so many bytes that Redis reads nothing else for long.
STAGE_BYTES = 512 * 1024
# When to try again if too many batches are open: batches take minutes.
FULL_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Added:
    """What became of pictures that were admitted to a batch.

    `earlier` is the answer of the first request if this one was its repetition; the pictures are not needed then.
    `replicated` is as in `Admission`.
    """

    earlier: str | None
    replicated: bool


class Batches:
    """Opens, fills, closes, cancels and reads batches."""

    def __init__(
        self,
        client: redis.Redis,
        queue: Queue,
        limits: JobLimits,
        backlog: BacklogReader,
        clock: Clock = SYSTEM_CLOCK,
        min_replicas: int = 0,
    ) -> None:
        """`client` decodes its answers to `str`; `min_replicas` of Redis confirm what `add` and `close` write."""
        self._redis = client
        self._queue = queue
        self._limits = limits
        self._backlog = backlog
        self._calls = BatchCalls(client, queue, limits, clock)
        self._replication = Replication(client, queue, min_replicas)

    def open(self, batch_id: str, request: BatchRequest) -> Batch:
        """Write an empty batch and return it.

        Raises:
            QueueFull: the limit of open batches or of open deliveries is reached; nothing was written.
        """
        answer = self._calls.open(batch_id, request).run(self._redis)
        if answer == b"full":
            raise QueueFull(
                f"{calls.MAX_OPEN_BATCHES} batches are open; that is the limit. Try again later.", FULL_RETRY_SECONDS
            )
        if answer == b"undelivered":
            raise TooManyWebhooks(MAX_DELIVERIES)
        return self.get(batch_id)

    def get(self, batch_id: str, owner: str | None = None) -> Batch:
        """Return the batch; with an `owner`, only if it belongs to that owner.

        Raises:
            GoneBatch: it had ended and was deleted.
            UnknownBatch: it never existed, was forgotten, or belongs to another owner.
        """
        record = cast(dict[str, str], self._redis.hgetall(self._key(batch_id)))
        if not record or (owner is not None and record.get("owner", "") != owner):
            raise UnknownBatch(UNKNOWN)
        batch = Batch.from_hash(batch_id, record)
        if batch.state is BatchState.DELETED:
            raise GoneBatch("This batch was deleted.")
        return batch

    def earlier_answer(self, batch_id: str, request: RepeatableRequest) -> Added:
        """Return the answer to the same request, if there was one; raises KeyReused as `add`."""
        found, replicated = self._replication.get(self._key(batch_id) + ":requests", request.field)
        if found is None:
            return Added(None, replicated)
        fingerprint, answer = json.loads(found)
        if fingerprint != request.fingerprint:
            raise _key_reused()
        return Added(str(answer), replicated)

    def stage(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        """Store pictures in Redis for `add`, by the ids of their jobs; each by a command of its own."""
        with self._redis.pipeline(transaction=False) as pipe:
            waiting_bytes = 0
            for job_id, picture in pictures:
                pipe.set(self._queue.key(PICTURE_PREFIX + job_id), picture, ex=STAGED_SECONDS)
                waiting_bytes += len(picture)
                if waiting_bytes >= STAGE_BYTES:
                    pipe.execute()
                    waiting_bytes = 0
            pipe.execute()

    def unstage(self, job_ids: Sequence[str]) -> None:
        """Delete pictures that were stored for `add`."""
        if job_ids:
            self._redis.delete(*(self._queue.key(PICTURE_PREFIX + job_id) for job_id in job_ids))

    def add(
        self, batch_id: str, pictures: Sequence[NewPicture], request: RepeatableRequest | None, *, in_redis: bool
    ) -> Added:
        """Admit the pictures, all or none; `in_redis`: those whose results are not known were staged.

        Raises:
            UnknownBatch, BatchClosed: there is no such batch, or it takes no more pictures.
            QueueFull: there is no room for all pictures now.
            PictureTooLarge: there would be none even if no other job were open.
            KeyReused: the key was used before with a different request.
            In every case nothing was written.
        """
        call = self._calls.add(batch_id, pictures, request, in_redis=in_redis)
        found, replicated = self._replication.run(call)
        verdict, answer = (part.decode() for part in found)
        if verdict in ("admitted", "joined"):
            return Added(answer if verdict == "joined" else None, replicated)
        raise self._refusal(verdict, pictures)

    def _refusal(self, verdict: str, pictures: Sequence[NewPicture]) -> Exception:
        refusals = {
            "unknown": UnknownBatch(UNKNOWN),
            "not open": BatchClosed(CLOSED),
            "too many": BatchClosed(f"A batch may have {calls.MAX_PICTURES:,} pictures. Close this one; open another."),
            "conflict": _key_reused(),
            "unstored": redis.ConnectionError("the pictures of a batch were stored too long ago"),
        }
        sizes = [picture.request.picture.bytes for picture in pictures if not picture.known]
        return refusals.get(verdict) or self._backlog.read().refusal(self._limits, sizes)

    def close(self, batch_id: str) -> BatchState:
        """Close the batch to further pictures; return its state. Raises UnknownBatch, NotReplicated."""
        return self._settled(batch_id, BatchState.CLOSED)

    def cancel(self, batch_id: str) -> BatchState:
        """Cancel a batch, or delete it if it is completed; return its state. Raises UnknownBatch.

        The caller cancels its jobs, and then calls `forget`.
        """
        return self._settled(batch_id, BatchState.CANCELED)

    def _settled(self, batch_id: str, wanted: BatchState) -> BatchState:
        state, replicated = self._replication.run(self._calls.settle(batch_id, wanted))
        if not state:
            raise UnknownBatch(UNKNOWN)
        # A batch that is canceled has nothing left to lose.
        if wanted is BatchState.CLOSED and not replicated:
            raise NotReplicated
        return BatchState(state.decode())

    def job_ids(self, batch_id: str) -> Iterator[list[str]]:
        """Yield the ids of all jobs of the batch, up to PAGE at a time, in the order of adding."""
        added = int(cast(str | None, self._redis.hget(self._key(batch_id), "added")) or 0)
        for first in range(1, added + 1, PAGE):
            places = [str(place) for place in range(first, min(first + PAGE, added + 1))]
            entries = cast(list[str | None], self._redis.hmget(self._key(batch_id) + ":pictures", places))
            yield [json.loads(entry)[0] for entry in entries if entry]

    def forget(self, batch_id: str) -> None:
        """Delete the pictures' names and outcomes of a canceled or deleted batch; its record is kept as a tombstone."""
        key = self._key(batch_id)
        with self._redis.pipeline() as pipe:
            pipe.unlink(f"{key}:pictures", f"{key}:outcomes", f"{key}:requests")
            pipe.expire(key, self._limits.tombstone_ttl_seconds)
            pipe.execute()

    def results(self, batch: Batch, after: int) -> Iterator[list[BatchResult]]:
        """Yield the pictures after the first `after`, up to PAGE at a time, until the first one that has not ended.

        So a client that asks again with the last number misses none and gets none twice.
        """
        key = self._key(batch.id)
        while True:
            places = [str(place) for place in range(after + 1, after + 1 + PAGE)]
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.hmget(f"{key}:pictures", places)
                pipe.hmget(f"{key}:outcomes", places)
                entries, outcomes = pipe.execute()
            page = []
            for place, entry, outcome in zip(places, entries, outcomes, strict=True):
                if not entry or not outcome:
                    break
                page.append(_result(batch, int(place), json.loads(entry), json.loads(outcome)))
            yield page
            if len(page) < PAGE:
                return
            after += PAGE

    def open_count(self) -> int:
        """Return the number of batches that have not ended."""
        seconds, _ = self._redis.time()
        return self._redis.zcount(self._queue.key(BATCHES_KEY), seconds * 1000, "+inf")

    def _key(self, batch_id: str) -> str:
        return self._queue.key(BATCH_PREFIX + batch_id)


def _result(batch: Batch, number: int, entry: list[str], outcome: dict[str, Any]) -> BatchResult:
    job_id, name = entry
    result = labels_from(batch.min_confidence, outcome.get("result"))
    return BatchResult(number, name, job_id, outcome["status"], result, outcome.get("problem"), outcome.get("model"))


def _key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for a different request. Use a new key for a new request.")

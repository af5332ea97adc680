"""The job records in Redis: the single source of truth about accepted jobs and their outcomes."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import redis

from shared.clock import SYSTEM_CLOCK, Clock, RedisTime
from shared.errors import GoneJob, KeyReused, UnknownJob
from shared.images.store import IMAGE_TTL_SECONDS
from shared.jobs.admission import Admission, IdempotencyKey, JobRequest
from shared.jobs.backlog import BacklogReader
from shared.jobs.events import NO_EVENTS, JobEvents
from shared.jobs.limits import JobLimits
from shared.jobs.models import (
    FORMAT_VERSION,
    TRANSITIONS,
    CacheEntry,
    Claim,
    ClaimedJob,
    Job,
    JobState,
    Outcome,
    Requeued,
)
from shared.jobs.queue import TASK_NAME, Queue
from shared.jobs.redis_keys import (
    BYTES_KEY,
    CLAIMED_PREFIX,
    DEADLINES_KEY,
    DRAIN_KEY,
    ENDED_CHANNEL,
    FAILED_KEY,
    FOREIGN_KEY,
    GONE_PREFIX,
    JOB_PREFIX,
    LEASES_KEY,
    OPEN_KEY,
    PICTURE_PREFIX,
    REACHED_KEY,
)
from shared.jobs.script import JobScript, ScriptCall, run_calls
from shared.result_cache import KnownResult

UNKNOWN = "There is no job with this id."
# No client retries after a day.
IDEMPOTENCY_TTL_SECONDS = 24 * 3600
# A claim that Redis runs later than this claims nothing: its sender has given up or has sent it again.
CLAIM_VALID_SECONDS = 3
NOTHING_CLAIMED = "[[],[]]"
NOTHING_CLAIMED_SECONDS = 60
# Upper bound for the measured time between two job ends, so that a clock change cannot distort the drain rate.
MAX_INTERVAL_MS = 10_000
# How many messages of other programs are kept for inspection.
MAX_FOREIGN = 100


@dataclass(frozen=True)
class Claimed:
    """Result of a claim: the jobs, and the names of other programs' tasks found in the queue.

    `ended`: whether the previous job was ended in the same round trip.
    """

    jobs: Sequence[ClaimedJob] = ()
    foreign: Sequence[str] = ()
    ended: bool = False


class Jobs:
    """Reads job records and changes their state; every change is one atomic script."""

    def __init__(
        self,
        client: redis.Redis,
        queue: Queue,
        limits: JobLimits,
        events: JobEvents = NO_EVENTS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`client` decodes its answers to `str`; `events.ended` is called for every job ended here."""
        self._redis = client
        self._queue = queue
        self._events = events
        self._limits = limits
        self.backlog = BacklogReader(client, queue, limits)
        self._time = RedisTime(clock)
        self._admit = JobScript(client, "admit", clock)
        self._claim = JobScript(client, "claim", clock)
        self._finish = JobScript(client, "finish", clock)
        self._requeue = JobScript(client, "requeue", clock)

    def admit(
        self,
        job_id: str,
        request: JobRequest,
        key: IdempotencyKey | None = None,
        known: KnownResult | None = None,
        picture: bytes = b"",
    ) -> Admission:
        """Write the job as queued and publish it; if `key` was used before, join the job that has it instead.

        A job with a `known` result is written as succeeded. A `picture` is stored with the record until the job ends.

        Raises:
            QueueFull: the limit of open jobs or of their bytes is reached; nothing was written.
            KeyReused: the key was used before with a different request; nothing was written.
        """
        fields = {"format_version": FORMAT_VERSION, "top": request.top, **asdict(request.picture)}
        fields |= {name: value for name in ("owner", "request_id") if (value := getattr(request, name))}
        if known:
            fields |= {"result": json.dumps(known.first(request.top)), "model": json.dumps(known.model)}
        call = self._admit.call(
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
                "idempotency_ttl_seconds": IDEMPOTENCY_TTL_SECONDS,
                "result_ttl_seconds": self._limits.result_ttl_seconds,
                "gone_ttl_seconds": self._gone_ttl_seconds,
                "known": int(known is not None),
                "message": self._queue.message,
                "picture": picture,
                "picture_ttl_seconds": IMAGE_TTL_SECONDS,
                "fields": _flat_json(fields),
            },
        )
        answer, open_jobs, running, holder = call.run(self._redis)
        if answer == b"full":
            raise self.backlog.read().refusal(self._limits, request.picture.bytes)
        if answer == b"conflict":
            raise KeyReused("This Idempotency-Key came with another request before. Use a new key for a new request.")
        position = max(1, int(open_jobs) - int(running))
        return Admission(holder.decode(), position, answer == b"joined", known is not None)

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return the job; with an `owner`, only if it belongs to that owner.

        Raises:
            GoneJob: the job was deleted or has expired, or its record is incomplete.
            UnknownJob: the job never existed, or belongs to another owner.
        """
        record = cast(dict[str, str], self._redis.hgetall(self._queue.key(JOB_PREFIX + job_id)))
        if record:
            _check_owner(owner, record.get("owner", ""))
            try:
                return Job.from_hash(job_id, record)
            except (KeyError, ValueError):
                raise GoneJob("The record of this job is damaged: Redis has lost parts of it.") from None
        gone = cast(str | None, self._redis.get(self._queue.key(GONE_PREFIX + job_id)))
        if gone is None:
            raise UnknownJob(UNKNOWN)
        _check_owner(owner, gone)
        raise GoneJob("This result was deleted or has outlived its time.")

    def request_ids(self, job_ids: Sequence[str]) -> list[str]:
        """Return the ids of the requests that created these jobs, "" where unknown."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._queue.key(JOB_PREFIX + job_id), "request_id")
            return [found or "" for found in pipe.execute()]

    def claim(self, claim: Claim, job_id: str = "") -> Claimed:
        """Claim the job `job_id`, whose message was delivered, or without it the next jobs in the queue.

        Jobs that must not run (they have a lease, have ended, or are past their deadline) are not returned.
        """
        while True:
            claimed = self._claimed(claim, self._claim_call(claim, job_id).run(self._redis))
            if claimed is not None:
                return claimed

    def end(self, job_id: str, outcome: Outcome, execution: str = "") -> bool:
        """End the job and store its cache entry; False if it has already ended, or another execution holds it.

        `execution` is the attempt that ends the job, "" if a client or a deadline ends it.
        """
        return self._ended(outcome, self._end_call(job_id, outcome, execution).run(self._redis))

    def end_and_claim(self, job_id: str, outcome: Outcome, execution: str, claim: Claim) -> Claimed:
        """End a job that `execution` holds and claim the next jobs, in one round trip."""
        calls = [self._end_call(job_id, outcome, execution), self._claim_call(claim, "")]
        moved, answer = run_calls(self._redis, calls)
        ended = self._ended(outcome, moved)
        claimed = self._claimed(claim, answer)
        return replace(self.claim(claim) if claimed is None else claimed, ended=ended)

    def _ended(self, outcome: Outcome, moved: Any) -> bool:
        if moved:
            self._events.ended(outcome.state)
        return bool(moved)

    def _claim_call(self, claim: Claim, job_id: str) -> ScriptCall:
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
                "valid_until_ms": self._time.in_seconds(CLAIM_VALID_SECONDS),
                "format_version": FORMAT_VERSION,
                "job_prefix": self._queue.key(JOB_PREFIX),
                "picture_prefix": self._queue.key(PICTURE_PREFIX),
                "task": TASK_NAME,
                "most": claim.most,
                "max_foreign": MAX_FOREIGN,
            },
        )

    def _claimed(self, claim: Claim, answer: list[Any]) -> Claimed | None:
        """Parse the answer to a claim; None if the claim ran too late and must be repeated."""
        now_ms, verdict, foreign, *found = answer
        self._time.heard(int(now_ms))
        if verdict == b"late":
            return None
        return Claimed(
            [_claimed_job(claim.execution, *parts) for parts in found],
            [name.decode(errors="replace") for name in foreign],
        )

    def give_back(self, execution: str) -> None:
        """Requeue the jobs of a claim whose answer was lost; the attempts do not count."""
        key = self._queue.key(CLAIMED_PREFIX + execution)
        with self._redis.pipeline(transaction=False) as pipe:
            # A claim that has not run yet finds this entry and claims nothing.
            pipe.set(key, NOTHING_CLAIMED, nx=True, ex=NOTHING_CLAIMED_SECONDS)
            pipe.get(key)
            _, noted = pipe.execute()
        for job_id in json.loads(noted)[0] if noted else []:
            self.requeue(job_id, execution, "its claim was not heard of", counted=False)

    def succeed(
        self,
        job_id: str,
        result: Mapping[str, Any],
        model: Mapping[str, str],
        entry: CacheEntry | None = None,
        execution: str = "",
    ) -> bool:
        """End the job with its labels and store `entry` in the cache; returns False as `end` does."""
        return self.end(job_id, Outcome.succeeded(result, model, entry), execution)

    def fail(self, job_id: str, problem: Mapping[str, Any], execution: str = "") -> bool:
        """End the job with a problem (`status`, `title`, `detail`); returns False as `end` does."""
        return self.end(job_id, Outcome.failed(problem), execution)

    def fail_running(self, job_id: str, problem: Mapping[str, Any], execution: str) -> bool:
        """End the job with a problem, but only while the execution holds it; returns False as `end` does."""
        outcome = Outcome.failed(problem)
        call = self._end_call(job_id, outcome, execution, allowed=[JobState.RUNNING])
        return self._ended(outcome, call.run(self._redis))

    def cancel(self, job_id: str) -> bool:
        """Cancel an open job; False if it has already ended."""
        problem = {"status": 410, "title": "Canceled", "detail": "The job was canceled."}
        return self.end(job_id, Outcome(JobState.CANCELED, {"problem": json.dumps(problem)}))

    def expire(self, job_id: str) -> bool:
        """End a queued job whose deadline has passed; False if it has started or ended."""
        problem = {"status": 410, "title": "Expired", "detail": "The job's deadline passed before it could begin."}
        return self.end(job_id, Outcome(JobState.EXPIRED, {"problem": json.dumps(problem)}))

    @property
    def _gone_ttl_seconds(self) -> int:
        return self._limits.result_ttl_seconds + self._limits.tombstone_ttl_seconds

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
        }

    def _end_call(
        self, job_id: str, outcome: Outcome, execution: str, allowed: Sequence[JobState] | None = None
    ) -> ScriptCall:
        entry = outcome.entry
        if allowed is None:
            allowed = [origin for origin, targets in TRANSITIONS.items() if outcome.state in targets]
        return self._finish.call(
            keys={
                **self._record_keys(job_id),
                "drain_key": self._queue.key(DRAIN_KEY),
                "failed_key": self._queue.key(FAILED_KEY),
                "cache_key": self._queue.key(entry.key) if entry else "",
            },
            args={
                "id": job_id,
                "state": outcome.state.value,
                "allowed": ",".join(allowed),
                "by": secrets.token_hex(8),
                "execution": execution,
                "result_ttl_seconds": self._limits.result_ttl_seconds,
                "gone_ttl_seconds": self._gone_ttl_seconds,
                "channel": self._queue.key(ENDED_CHANNEL),
                "cached": entry.value if entry else "",
                "cache_ttl_seconds": entry.ttl_seconds if entry else 0,
                "max_interval_ms": MAX_INTERVAL_MS,
                "fields": _flat_json(outcome.fields),
            },
        )

    def delete(self, job_id: str) -> None:
        """Delete the record of an ended job; `get` then raises GoneJob until the tombstone expires."""
        with self._redis.pipeline() as pipe:
            pipe.delete(self._queue.key(JOB_PREFIX + job_id))
            # The tombstone, with the owner, was written when the job ended.
            pipe.expire(self._queue.key(GONE_PREFIX + job_id), self._limits.tombstone_ttl_seconds)
            pipe.execute()

    def requeue(
        self,
        job_id: str,
        execution: str,
        reason: str,
        *,
        counted: bool = True,
        publish: bool = True,
        lease_ended: bool = False,
    ) -> Requeued:
        """Give up an execution's attempt of a job; return the result.

        The job is published at once, or without `publish` a few seconds later by the reaper. With `lease_ended`, only
        an attempt whose lease has ended is given up. If the attempt is `counted` and was the last one, the job fails
        with `reason` in its problem.
        """
        call = self._requeue.call(
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
            },
        )
        requeued = Requeued(call.run(self._redis).decode())
        if requeued is Requeued.EXHAUSTED:
            detail = f"The job was begun {self._limits.attempts} times and never finished: {reason}"
            problem = {"status": 500, "title": "Too many attempts", "detail": detail}
            return requeued if self.fail_running(job_id, problem, execution) else Requeued.NONE
        return requeued

    def failed(self, most: int) -> list[Job]:
        """Return the most recently failed jobs that still have a record, newest first."""
        ids = cast(list[str], self._redis.zrange(self._queue.key(FAILED_KEY), 0, most - 1, desc=True))
        key = self._queue.key
        records = [(job_id, cast(dict[str, str], self._redis.hgetall(key(JOB_PREFIX + job_id)))) for job_id in ids]
        return [Job.from_hash(job_id, record) for job_id, record in records if record]


def _check_owner(wanted: str | None, owner: str) -> None:
    """Raise UnknownJob for another owner's job. A tombstone without owner contains `1`, which no key can be named."""
    if wanted is not None and owner != wanted:
        raise UnknownJob(UNKNOWN)


def _claimed_job(execution: str, job_id: bytes, picture: bytes, flat: list[bytes]) -> ClaimedJob:
    text = [part.decode() for part in flat]
    record = dict(zip(text[::2], text[1::2], strict=True))
    return ClaimedJob(Job.from_hash(job_id.decode(), record), picture, execution)


def _flat_json(fields: Mapping[str, Any]) -> str:
    return json.dumps([str(part) for pair in fields.items() for part in pair])

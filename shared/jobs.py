"""The job records in Redis: the one truth about what was accepted and what became of it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import redis

from shared.admission import Admission, IdempotencyKey, Order
from shared.backlog import BacklogReader
from shared.errors import GoneJob, KeyReused, UnknownJob
from shared.image_store import IMAGE_TTL_SECONDS
from shared.job import FORMAT_VERSION, TRANSITIONS, Begun, CacheEntry, Claim, Job, JobState, Outcome, Release
from shared.job_keys import (
    BEGUN_KEY,
    BYTES_KEY,
    DEADLINES_KEY,
    DRAIN_KEY,
    ENDED_CHANNEL,
    FAILED_KEY,
    GONE_PREFIX,
    JOB_PREFIX,
    LEASES_KEY,
    OPEN_KEY,
    PICTURE_PREFIX,
)
from shared.job_limits import JobLimits
from shared.job_script import ScriptCall, load_script, run_calls
from shared.queue import MESSAGE, QUEUE_NAME
from shared.result_cache import KnownResult

log = logging.getLogger(__name__)

# What stands where a job without an owner has been; no name of a key begins with a digit.
GONE_OF_NOBODY = "1"
# A client that has not retried within a day has forgotten its key.
IDEMPOTENCY_TTL_SECONDS = 24 * 3600


class Jobs:
    """Reads job records and moves them from state to state; every change is one atomic script."""

    def __init__(
        self, client: redis.Redis, limits: JobLimits, on_end: Callable[[JobState], None] = lambda _: None
    ) -> None:
        """`client` decodes its answers to `str`; `on_end` hears of every job that is ended here."""
        self._redis = client
        self._on_end = on_end
        self._limits = limits
        self._backlog = BacklogReader(client, limits)
        self._admit = load_script(client, "admit")
        self._begin = load_script(client, "begin")
        self._finish = load_script(client, "finish")
        self._release = load_script(client, "release")
        self._postpone = load_script(client, "postpone")

    def admit(
        self,
        job_id: str,
        order: Order,
        key: IdempotencyKey | None = None,
        known: KnownResult | None = None,
        picture: bytes = b"",
    ) -> Admission:
        """Write the job as queued and publish it, unless `key` was used before: then the job that has it is joined.

        A job whose result is `known` is written as succeeded. A `picture` is carried with the record until its end.

        Raises:
            QueueFull: as many jobs or bytes are open as are admitted; nothing was written.
            KeyReused: the key came with another request before; nothing was written.
        """
        fields = {"format_version": FORMAT_VERSION, "top": order.top, **asdict(order.picture)}
        fields |= {name: value for name in ("owner", "request_id") if (value := getattr(order, name))}
        if known:
            fields |= {"result": json.dumps(known.first(order.top)), "model": json.dumps(known.model)}
        answer, open_jobs, running, holder = self._admit(
            keys=[
                *(JOB_PREFIX + job_id, OPEN_KEY, LEASES_KEY, BYTES_KEY, DEADLINES_KEY),
                *(key.redis_key if key else "", GONE_PREFIX + job_id, QUEUE_NAME, PICTURE_PREFIX + job_id),
            ],
            args=[
                *(job_id, order.picture.bytes, self._limits.max_open_jobs, self._limits.max_stored_bytes),
                *(int(order.deadline_seconds * 1000), key.fingerprint if key else "", IDEMPOTENCY_TTL_SECONDS),
                *(self._limits.result_ttl_seconds, self._gone_ttl_seconds, "known" if known else "", MESSAGE),
                *(picture, IMAGE_TTL_SECONDS),
                *_flat(fields),
            ],
        )
        if answer == "full":
            raise self._backlog.read().refusal(self._limits, order.picture.bytes)
        if answer == "conflict":
            raise KeyReused("This Idempotency-Key came with another request before. Use a new key for a new request.")
        return Admission(holder, max(1, int(open_jobs) - int(running)), answer == "joined", known is not None)

    def get(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            GoneJob: it was deleted or has outlived its time, or Redis has lost parts of its record.
            UnknownJob: it never was.
        """
        record = cast(dict[str, str], self._redis.hgetall(JOB_PREFIX + job_id))
        if record:
            try:
                return Job.from_hash(job_id, record)
            except (KeyError, ValueError):
                raise GoneJob("The record of this job is damaged: Redis has lost parts of it.") from None
        if self._redis.exists(GONE_PREFIX + job_id):
            raise GoneJob("This result was deleted or has outlived its time.")
        raise UnknownJob("There is no job with this id.")

    def owner(self, job_id: str) -> str | None:
        """Return whose job this is, or was when it is gone; "" for nobody's, None for one that never was."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(JOB_PREFIX + job_id, "state", "owner")
            pipe.get(GONE_PREFIX + job_id)
            (state, owner), gone = pipe.execute()
        if state:
            return owner or ""
        return "" if gone == GONE_OF_NOBODY else cast(str | None, gone)

    def request_ids(self, job_ids: Sequence[str]) -> list[str]:
        """Return what the requests were called that brought these jobs, "" where that is not known."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(JOB_PREFIX + job_id, "request_id")
            return [found or "" for found in pipe.execute()]

    def begin(self, job_id: str, claim: Claim) -> Begun | None:
        """Take a queued job until the lease ends; None when the delivery is to be dropped."""
        return self._begun(self._begin_call(job_id, claim).run(self._redis))

    def begin_next(self, claim: Claim) -> Begun | None:
        """Take the next message off the queue, as a worker of Celery would, and begin its job; None if none waits."""
        return self.begin("", claim)

    def end(self, job_id: str, outcome: Outcome) -> bool:
        """End the job and leave what it leaves to the cache; False when it has ended before."""
        return self._ended(outcome, self._end_call(job_id, outcome).run(self._redis))

    def end_and_begin_next(self, job_id: str, outcome: Outcome, claim: Claim) -> Begun | None:
        """Do `end` and `begin_next` in one round trip."""
        calls = [self._end_call(job_id, outcome), self._begin_call("", claim)]
        ended, begun = run_calls(self._redis, calls)
        self._ended(outcome, ended)
        return self._begun(begun)

    def _ended(self, outcome: Outcome, moved: Any) -> bool:
        if moved:
            self._on_end(outcome.state)
        return bool(moved)

    def _begin_call(self, job_id: str, claim: Claim) -> ScriptCall:
        lease_ms = int(claim.lease_seconds * 1000)
        return ScriptCall(
            self._begin,
            keys=[QUEUE_NAME, LEASES_KEY, BEGUN_KEY],
            args=[job_id, claim.execution, claim.worker, lease_ms, FORMAT_VERSION, JOB_PREFIX, PICTURE_PREFIX],
        )

    @staticmethod
    def _begun(answer: list[bytes]) -> Begun | None:
        if not answer:
            return None
        job_id, picture, *flat = answer
        if not job_id:
            log.warning("A message was refused that is not in JSON or about no job: %.200r", picture)
            return None
        text = [part.decode() for part in flat]
        job = Job.from_hash(job_id.decode(), dict(zip(text[::2], text[1::2], strict=True)))
        return Begun(job, picture)

    def succeed(
        self, job_id: str, result: Mapping[str, Any], model: Mapping[str, str], entry: CacheEntry | None = None
    ) -> bool:
        """End the job with its labels and leave `entry` to the cache; False when it has ended before."""
        return self.end(job_id, Outcome.succeeded(result, model, entry))

    def fail(self, job_id: str, problem: Mapping[str, Any]) -> bool:
        """End the job with a problem (`status`, `title`, `detail`); False when it has ended before."""
        return self.end(job_id, Outcome.failed(problem))

    def cancel(self, job_id: str) -> bool:
        """End an open job at its client's wish; False when it has ended before."""
        problem = {"status": 410, "title": "Canceled", "detail": "The job was canceled."}
        return self.end(job_id, Outcome(JobState.CANCELED, {"problem": json.dumps(problem)}))

    def expire(self, job_id: str) -> bool:
        """End a queued job whose deadline has passed; False when it has begun or ended before."""
        problem = {"status": 410, "title": "Expired", "detail": "The job's deadline passed before it could begin."}
        return self.end(job_id, Outcome(JobState.EXPIRED, {"problem": json.dumps(problem)}))

    @property
    def _gone_ttl_seconds(self) -> int:
        return self._limits.result_ttl_seconds + self._limits.tombstone_ttl_seconds

    def _end_call(self, job_id: str, outcome: Outcome) -> ScriptCall:
        allowed = ",".join(origin for origin, targets in TRANSITIONS.items() if outcome.state in targets)
        entry = outcome.entry
        return ScriptCall(
            self._finish,
            keys=[
                *(JOB_PREFIX + job_id, OPEN_KEY, LEASES_KEY, BYTES_KEY, DEADLINES_KEY, DRAIN_KEY, FAILED_KEY),
                *(GONE_PREFIX + job_id, entry.key if entry else "", PICTURE_PREFIX + job_id),
            ],
            args=[
                *(job_id, outcome.state.value, allowed, self._limits.result_ttl_seconds, self._gone_ttl_seconds),
                *(ENDED_CHANNEL, entry.value if entry else "", entry.ttl_seconds if entry else 0),
                *_flat(outcome.fields),
            ],
        )

    def delete(self, job_id: str) -> None:
        """Forget a finished job; its id answers "gone" from now on."""
        with self._redis.pipeline() as pipe:
            pipe.delete(JOB_PREFIX + job_id)
            # It was written at the job's end, with its owner.
            pipe.expire(GONE_PREFIX + job_id, self._limits.tombstone_ttl_seconds)
            pipe.execute()

    def release(self, job_id: str, reason: str, *, lease_ended: bool = False) -> Release:
        """Give up the running attempt of a job and publish it again; say what became of the job.

        With `lease_ended` only an attempt whose lease has ended is given up. After its last attempt the job
        fails, with `reason` in its problem.
        """
        answer = self._release(
            keys=[JOB_PREFIX + job_id, LEASES_KEY, QUEUE_NAME],
            args=[job_id, self._limits.attempts, "ended" if lease_ended else "any", MESSAGE],
        )
        if answer == "exhausted":
            detail = f"The job was begun {self._limits.attempts} times and never finished: {reason}"
            self.fail(job_id, {"status": 500, "title": "Too many attempts", "detail": detail})
        return Release(answer)

    def postpone(self, job_id: str) -> None:
        """Have a running job wait again; its attempt does not count, and the repair publishes it in some seconds."""
        self._postpone(keys=[JOB_PREFIX + job_id, LEASES_KEY], args=[job_id])

    def failed(self, most: int) -> list[Job]:
        """Return the jobs that failed last and can still be read, the newest first."""
        ids = cast(list[str], self._redis.zrange(FAILED_KEY, 0, most - 1, desc=True))
        records = [(job_id, cast(dict[str, str], self._redis.hgetall(JOB_PREFIX + job_id))) for job_id in ids]
        return [Job.from_hash(job_id, record) for job_id, record in records if record]


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]

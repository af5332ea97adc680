"""The job records in Redis: the one truth about what was accepted and what became of it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, cast

import redis
from redis.client import NEVER_DECODE
from redis.commands.core import Script

from shared.admission import Admission, Backlog, IdempotencyKey, Order, Queue
from shared.errors import GoneJob, KeyReused, QueueFull, UnknownJob
from shared.image_store import IMAGE_TTL_SECONDS
from shared.job import FORMAT_VERSION, TRANSITIONS, Begun, CacheEntry, Claim, Job, JobCounts, JobState, Outcome, Release
from shared.job_limits import JobLimits
from shared.queue import MESSAGE, QUEUE_NAME
from shared.result_cache import KnownResult

log = logging.getLogger(__name__)

JOB_PREFIX = "job:"
PICTURE_PREFIX = "image:"
OPEN_KEY = "jobs:open"
LEASES_KEY = "jobs:leases"
BEGUN_KEY = "jobs:begun"
DRAIN_KEY = "jobs:drain"
BYTES_KEY = "jobs:bytes"
DEADLINES_KEY = "jobs:deadlines"
FAILED_KEY = "jobs:failed"
# What stands where a job without an owner has been; no name of a key begins with a digit.
GONE_OF_NOBODY = "1"
ENDED_CHANNEL = "jobs:ended"
# Until a drain rate was seen: about what one core does with a picture of 512 x 512.
FIRST_INTERVAL_MS = 20.0
# A client that has not retried within a day has forgotten its key.
IDEMPOTENCY_TTL_SECONDS = 24 * 3600
# A published message may rest in a worker's prefetch this long before its job counts as overtaken.
OVERTAKEN_GRACE_MS = 5_000
REPAIR_MOST = 200


class Jobs:
    """Reads job records and moves them from state to state; every change is one atomic script."""

    def __init__(
        self, client: redis.Redis, limits: JobLimits, on_end: Callable[[JobState], None] = lambda _: None
    ) -> None:
        """`client` decodes its answers to `str`; `on_end` hears of every job that is ended here."""
        self._redis = client
        self._on_end = on_end
        self._limits = limits
        self._admit = self._script("admit")
        self._begin = self._script("begin")
        self._finish = self._script("finish")
        self._release = self._script("release")
        self._overtaken = self._script("overtaken")

    def _script(self, name: str) -> Script:
        text = resources.files("shared").joinpath("scripts", f"{name}.lua").read_text("utf-8")
        return self._redis.register_script(text)

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
                *(key.redis_key if key else "", _gone_key(job_id), QUEUE_NAME, PICTURE_PREFIX + job_id),
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
            raise self.queue_full(int(open_jobs))
        if answer == "conflict":
            raise KeyReused("This Idempotency-Key came with another request before. Use a new key for a new request.")
        return Admission(holder, max(1, int(open_jobs) - int(running)), answer == "joined", known is not None)

    def queue_full(self, open_jobs: int) -> QueueFull:
        """Return the error that tells a client when to come back."""
        return QueueFull(
            f"The queue is full ({open_jobs} jobs are open). Try again later.", self.backlog().seconds_for(open_jobs)
        )

    def backlog(self) -> Backlog:
        """Return how much is open and how fast it drains."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(OPEN_KEY)
            pipe.get(BYTES_KEY)
            pipe.hget(DRAIN_KEY, "interval_ms")
            open_jobs, stored_bytes, interval_ms = pipe.execute()
        return Backlog(int(open_jobs), int(stored_bytes or 0), float(interval_ms or FIRST_INTERVAL_MS))

    def queue(self) -> Queue:
        """Return what is open now, in one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zcard(OPEN_KEY)
            pipe.zcard(LEASES_KEY)
            pipe.zrange(OPEN_KEY, 0, 0, withscores=True)
            pipe.get(BYTES_KEY)
            (seconds, microseconds), open_jobs, running, oldest, stored_bytes = pipe.execute()
        now = seconds + microseconds / 1_000_000
        oldest_seconds = max(0.0, now - oldest[0][1] / 1000) if oldest else 0.0
        return Queue(max(0, open_jobs - running), running, oldest_seconds, int(stored_bytes or 0))

    def free_memory_share(self) -> float:
        """Return which share of Redis' `maxmemory` is free, 0 to 1; 1 when it has none."""
        memory = cast(dict[str, int], self._redis.info("memory"))
        most = memory.get("maxmemory", 0)
        return max(0.0, 1 - memory["used_memory"] / most) if most else 1.0

    def get(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            GoneJob: it was deleted or has outlived its time.
            UnknownJob: it never was.
        """
        record = cast(dict[str, str], self._redis.hgetall(JOB_PREFIX + job_id))
        if record:
            return Job.from_hash(job_id, record)
        if self._redis.exists(_gone_key(job_id)):
            raise GoneJob("This result was deleted or has outlived its time.")
        raise UnknownJob("There is no job with this id.")

    def owner(self, job_id: str) -> str | None:
        """Return whose job this is, or was when it is gone; "" for nobody's, None for one that never was."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(JOB_PREFIX + job_id, "state", "owner")
            pipe.get(_gone_key(job_id))
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

    def position(self, job_id: str) -> int:
        """Return how many queued jobs come up to and including this one, at least 1."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrank(OPEN_KEY, job_id)
            pipe.zcard(LEASES_KEY)
            rank, running = pipe.execute()
        return max(1, (rank or 0) + 1 - int(running))

    def running(self, worker: str) -> dict[str, str]:
        """Return the executions of the jobs that run on a worker, by the jobs' ids."""
        ids = cast(list[str], self._redis.zrange(LEASES_KEY, 0, -1))
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(JOB_PREFIX + job_id, "worker", "execution")
            found = zip(ids, pipe.execute(), strict=True)
        return {job_id: execution for job_id, (runs_on, execution) in found if runs_on == worker}

    def begin(self, job_id: str, claim: Claim) -> Begun | None:
        """Take a queued job until the lease ends; None when the delivery is to be dropped."""
        return self._begun(self._call(self._begin_call(job_id, claim)))

    def begin_next(self, claim: Claim) -> Begun | None:
        """Take the next message off the queue, as a worker of Celery would, and begin its job; None if none waits."""
        return self.begin("", claim)

    def end(self, job_id: str, outcome: Outcome) -> bool:
        """End the job and leave what it leaves to the cache; False when it has ended before."""
        return self._ended(outcome, self._call(self._end_call(job_id, outcome)))

    def end_and_begin_next(self, job_id: str, outcome: Outcome, claim: Claim) -> Begun | None:
        """Do `end` and `begin_next` in one round trip."""
        calls = self._end_call(job_id, outcome), self._begin_call("", claim)
        with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                call.ask(pipe)
            answers = pipe.execute(raise_on_error=False)
        ended, begun = [self._heard(call, answer) for call, answer in zip(calls, answers, strict=True)]
        self._ended(outcome, ended)
        return self._begun(begun)

    def _ended(self, outcome: Outcome, moved: Any) -> bool:
        if moved:
            self._on_end(outcome.state)
        return bool(moved)

    def _begin_call(self, job_id: str, claim: Claim) -> "_Call":
        lease_ms = int(claim.lease_seconds * 1000)
        return _Call(
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

    def _call(self, call: "_Call") -> Any:
        """Run a script whose answer is not to be decoded, as a picture is no text."""
        try:
            return call.ask(self._redis)
        except redis.exceptions.NoScriptError as error:
            return self._heard(call, error)

    def _heard(self, call: "_Call", answer: Any) -> Any:
        """Return the answer to a call; one that the server did not know is made again."""
        if isinstance(answer, redis.exceptions.NoScriptError):
            self._redis.script_load(call.script.script)
            return call.ask(self._redis)
        if isinstance(answer, Exception):
            raise answer
        return answer

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

    def _end_call(self, job_id: str, outcome: Outcome) -> "_Call":
        allowed = ",".join(origin for origin, targets in TRANSITIONS.items() if outcome.state in targets)
        entry = outcome.entry
        return _Call(
            self._finish,
            keys=[
                *(JOB_PREFIX + job_id, OPEN_KEY, LEASES_KEY, BYTES_KEY, DEADLINES_KEY, DRAIN_KEY, FAILED_KEY),
                *(_gone_key(job_id), entry.key if entry else "", PICTURE_PREFIX + job_id),
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
            pipe.expire(_gone_key(job_id), self._limits.tombstone_ttl_seconds)
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

    def overdue(self) -> list[str]:
        """Return the ids of running jobs whose lease has ended."""
        return self._before_now(LEASES_KEY)

    def past_deadline(self) -> list[str]:
        """Return the ids of open jobs whose deadline has passed, those that run included."""
        return self._before_now(DEADLINES_KEY)

    def _before_now(self, key: str) -> list[str]:
        seconds, microseconds = self._redis.time()
        now_ms = seconds * 1000 + microseconds // 1000
        ended = self._redis.zrange(key, "-inf", now_ms, byscore=True, offset=0, num=REPAIR_MOST)
        return cast(list[str], ended)

    def failed(self, most: int) -> list[Job]:
        """Return the jobs that failed last and can still be read, the newest first."""
        ids = cast(list[str], self._redis.zrange(FAILED_KEY, 0, most - 1, desc=True))
        records = [(job_id, cast(dict[str, str], self._redis.hgetall(JOB_PREFIX + job_id))) for job_id in ids]
        return [Job.from_hash(job_id, record) for job_id, record in records if record]

    def counts(self) -> JobCounts:
        """Return how many jobs are open, run and failed; nothing that tells whose they are."""
        seconds, _ = self._redis.time()
        # In one step: else more could run than are open.
        with self._redis.pipeline() as pipe:
            pipe.zcard(OPEN_KEY)
            pipe.zcard(LEASES_KEY)
            pipe.zcount(FAILED_KEY, (seconds - self._limits.result_ttl_seconds) * 1000, "+inf")
            return JobCounts(*pipe.execute())

    def overtaken(self) -> list[str]:
        """Publish queued jobs again whose message was lost; return their ids."""
        return list(
            self._overtaken(
                keys=[OPEN_KEY, LEASES_KEY, BEGUN_KEY, QUEUE_NAME],
                args=[OVERTAKEN_GRACE_MS, REPAIR_MOST, JOB_PREFIX, MESSAGE],
            )
        )


@dataclass(frozen=True)
class _Call:
    """A script with what it is to do; its answer is not decoded, as a picture is no text."""

    script: Script
    keys: list[str]
    args: list[Any]

    def ask(self, client: Any) -> Any:
        """Run it on a client, or add it to a pipeline."""
        call = ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)
        return client.execute_command(*call, **{NEVER_DECODE: True})


def _gone_key(job_id: str) -> str:
    return "gone:" + job_id


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]

"""Changes of the job records in Redis: admission, claims, ends and requeues."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis

from shared.clock import SYSTEM_CLOCK, Clock, RedisTime
from shared.errors import KeyReused, TooManyWebhooks
from shared.jobs.admission import MAX_DELIVERIES, Admission, IdempotencyKey, JobRequest
from shared.jobs.backlog import BacklogReader
from shared.jobs.calls import JobCalls
from shared.jobs.claims import Claim, Claimed
from shared.jobs.events import NO_EVENTS, JobEvents
from shared.jobs.kept import KeptPictures
from shared.jobs.limits import JobLimits
from shared.jobs.models import Ended, JobState, Outcome, Requeued
from shared.jobs.queue import Queue
from shared.jobs.records import JobRecords
from shared.jobs.redis_keys import CLAIMED_PREFIX, GONE_PREFIX, JOB_PREFIX
from shared.jobs.replication import CONFIRM_END_MS, Replication
from shared.jobs.script import ScriptCall
from shared.result_cache import KnownResult

# A claim that Redis runs later than this claims nothing: its sender has given up or has sent it again.
CLAIM_VALID_SECONDS = 3
CANCELED = Outcome.failed({"status": 410, "title": "Canceled", "detail": "The job was canceled."}, JobState.CANCELED)
EXPIRED = Outcome.failed(
    {"status": 410, "title": "Expired", "detail": "The job's deadline passed before it could start."}, JobState.EXPIRED
)
NOTHING_CLAIMED = "[[],[]]"
NOTHING_CLAIMED_SECONDS = 60


class Jobs(JobRecords):
    """Changes the state of job records; every change is one atomic script."""

    def __init__(
        self,
        client: redis.Redis,
        queue: Queue,
        limits: JobLimits,
        events: JobEvents = NO_EVENTS,
        clock: Clock = SYSTEM_CLOCK,
        min_replicas: int = 0,
        *,
        confirm_ends: bool = False,
    ) -> None:
        """`client` decodes its answers to `str`; `events.ended` is called for every job ended here.

        `min_replicas` of Redis confirm every admission. With `confirm_ends` they also confirm every end: a promoted
        replica that lacks it runs the job again, and needs its picture, if that is not in Redis too.
        """
        super().__init__(client, queue)
        self._events = events
        self._limits = limits
        self.backlog = BacklogReader(client, queue, limits)
        self.kept = KeptPictures(client, queue, clock)
        self._time = RedisTime(clock)
        self._calls = JobCalls(client, queue, limits, clock)
        self._replication = Replication(client, queue, min_replicas)
        self._ends = Replication(client, queue, min_replicas if confirm_ends else 0, CONFIRM_END_MS)

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
            QueueFull: the limit of open jobs, of their bytes or of open deliveries is reached; nothing was written.
            PictureTooLarge: the picture exceeds the limit of bytes even if no other job is open; nothing was written.
            KeyReused: the key was used before with a different request; nothing was written.
        """
        call = self._calls.admit(job_id, request, key, known, picture)
        (answer, open_jobs, running, holder), replicated = self._replication.run(call)
        if answer == b"full":
            raise self.backlog.read().refusal(self._limits, [request.picture.bytes])
        if answer == b"undelivered":
            raise TooManyWebhooks(MAX_DELIVERIES)
        if answer == b"conflict":
            raise KeyReused("This Idempotency-Key was used for a different request. Use a new key for a new request.")
        position = max(1, int(open_jobs) - int(running))
        return Admission(holder.decode(), position, answer == b"joined", known is not None, replicated)

    def joined(self, key: IdempotencyKey) -> Admission | None:
        """Return the job that has this key, None if there is none."""
        first, replicated = self._replication.get(self._queue.key(key.redis_key), "id")
        return Admission(first, 1, joined=True, known=False, replicated=replicated) if first else None

    def claim(self, claim: Claim, job_id: str = "") -> Claimed:
        """Claim the job `job_id`, whose message was delivered, or without it the next jobs in the queue.

        Jobs that must not run (they have a lease, have ended, or are past their deadline) are not returned.
        """
        while True:
            claimed = self._claimed(claim, self._claim_call(claim, job_id).run(self._redis))
            if claimed is not None:
                return claimed

    def end(self, job_id: str, outcome: Outcome, execution: str = "") -> Ended:
        """End the job and store its cache entry, unless it has already ended, or another execution holds it.

        `execution` is the attempt that ends the job, "" if a client or a deadline ends it.
        """
        return self._ended(outcome, *self._ends.run(self._calls.finish(job_id, outcome, execution)))

    def end_and_claim(self, job_id: str, outcome: Outcome, execution: str, claim: Claim) -> Claimed:
        """End a job that `execution` holds and claim the next jobs, in one round trip."""
        calls = [self._calls.finish(job_id, outcome, execution), self._claim_call(claim, "")]
        (moved, answer), replicated = self._ends.run_all(calls)
        ended = self._ended(outcome, moved, replicated)
        claimed = self._claimed(claim, answer)
        return replace(self.claim(claim) if claimed is None else claimed, ended=ended)

    def _ended(self, outcome: Outcome, moved: int, replicated: bool) -> Ended:
        if moved:
            self._events.ended(outcome.state)
        return Ended(moved) if replicated or not moved else Ended.KEPT

    def _claim_call(self, claim: Claim, job_id: str) -> ScriptCall:
        return self._calls.claim(claim, job_id, self._time.in_seconds(CLAIM_VALID_SECONDS))

    def _claimed(self, claim: Claim, answer: list[Any]) -> Claimed | None:
        """Parse the answer to a claim; None if the claim ran too late and must be repeated."""
        now_ms, verdict, foreign, *found = answer
        self._time.heard(int(now_ms))
        if verdict == b"late":
            return None
        return Claimed.from_answer(claim.execution, foreign, found)

    def give_back(self, execution: str) -> None:
        """Requeue the jobs of a claim whose answer was lost; the attempts do not count."""
        key = self._queue.key(CLAIMED_PREFIX + execution)
        with self._redis.pipeline(transaction=False) as pipe:
            # A claim that has not run yet finds this entry and claims nothing.
            pipe.set(key, NOTHING_CLAIMED, nx=True, ex=NOTHING_CLAIMED_SECONDS)
            pipe.get(key)
            _, noted = pipe.execute()
        for job_id in json.loads(noted)[0] if noted else []:
            self.requeue(job_id, execution, "the answer to its claim was lost", counted=False)

    def fail_running(self, job_id: str, problem: Mapping[str, Any], execution: str, *, poison: bool = False) -> Ended:
        """End the job with a problem as `end` does, but only while the execution holds it."""
        outcome = Outcome.failed(problem, poison=poison)
        call = self._calls.finish(job_id, outcome, execution, allowed=[JobState.RUNNING])
        return self._ended(outcome, *self._ends.run(call))

    def cancel(self, job_id: str) -> Ended:
        """Cancel an open job."""
        return self.end(job_id, CANCELED)

    def cancel_all(self, job_ids: Sequence[str]) -> list[str]:
        """Cancel those of the jobs that are open; return the ids of those whose pictures may be deleted."""
        return [job_id for job_id, ended in self._end_all(job_ids, CANCELED).items() if ended is Ended.YES]

    def expire_all(self, job_ids: Sequence[str]) -> dict[str, Ended]:
        """End those of the jobs, whose deadlines have passed, that are queued; return what was done to each."""
        return self._end_all(job_ids, EXPIRED)

    def _end_all(self, job_ids: Sequence[str], outcome: Outcome) -> dict[str, Ended]:
        """End jobs in one round trip."""
        calls = [self._calls.finish(job_id, outcome, "") for job_id in job_ids]
        answers, replicated = self._ends.run_all(calls) if calls else ([], True)
        moved = [self._ended(outcome, answer, replicated) for answer in answers]
        return dict(zip(job_ids, moved, strict=True))

    def delete(self, *job_ids: str) -> bool:
        """Delete the records of ended jobs; `get` then raises GoneJob until the tombstones expire.

        Return whether their pictures, if they stayed because no replica had confirmed the end (`Ended.KEPT`), may be
        deleted now.
        """
        with self._redis.pipeline() as pipe:
            for job_id in job_ids:
                pipe.delete(self._queue.key(JOB_PREFIX + job_id))
                # The tombstone, with the owner, was written when the job ended.
                pipe.expire(self._queue.key(GONE_PREFIX + job_id), self._limits.tombstone_ttl_seconds)
            pipe.execute()
        return self._ends.confirm()

    def requeue(
        self,
        job_id: str,
        execution: str,
        reason: str,
        *,
        counted: bool = True,
        publish: bool = True,
        lease_ended: bool = False,
        died: bool = False,
    ) -> Requeued:
        """Give up an execution's attempt of a job; return the result.

        The job is published at once, or without `publish` a few seconds later by the reaper. With `lease_ended`, only
        an attempt whose lease has ended is given up. If the attempt is `counted` and was the last one, the job fails
        with `reason` in its problem. `died`: the process that ran the job has died; if it died at every attempt, the
        job is marked as poison.
        """
        call = self._calls.requeue(
            job_id, execution, counted=counted, publish=publish, lease_ended=lease_ended, died=died
        )
        answer = call.run(self._redis).decode()
        if answer in ("exhausted", "poison"):
            return self._exhaust(job_id, execution, reason, poison=answer == "poison")
        return Requeued(answer)

    def _exhaust(self, job_id: str, execution: str, reason: str, *, poison: bool) -> Requeued:
        """Fail a job after its last attempt."""
        times = "once" if self._limits.attempts == 1 else f"{self._limits.attempts} times"
        detail = f"The job was started {times} and never finished: {reason}"
        problem = {"status": 500, "title": "Too many attempts", "detail": detail}
        ended = self.fail_running(job_id, problem, execution, poison=poison)
        return {Ended.NO: Requeued.NONE, Ended.YES: Requeued.EXHAUSTED, Ended.KEPT: Requeued.KEPT}[ended]

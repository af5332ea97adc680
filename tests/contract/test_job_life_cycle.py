"""Any order of deliveries, deaths and late results leaves each job with one end: driven at random on a real server."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.errors import QueueFull
from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.limits import JobLimits
from shared.jobs.models import TRANSITIONS, ImageInfo, JobState, Requeued
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import BYTES_KEY, DEADLINES_KEY, LEASES_KEY, OPEN_KEY
from shared.jobs.store import Jobs
from tests.support.claims import claim_job
from tests.support.outcomes import fail, succeed
from tests.support.processes import RedisServer
from worker.jobs.stalled import StalledJobs

PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=7)
LIMITS = JobLimits(
    max_open_jobs=4, max_stored_bytes=10_000, attempts=3, result_ttl_seconds=100, tombstone_ttl_seconds=9
)
MODEL = {"name": "m", "digest": "d"}
LONG, ENDED = 60.0, 0.0


class LifeCycle(RuleBasedStateMachine):
    """What workers, clients, the broker and the repair may do, in any order; the model is what they were told."""

    client: Any
    ids = Bundle("ids")

    @initialize()
    def empty(self) -> None:
        self.client.flushall()
        self.jobs = Jobs(self.client, Queue(), LIMITS)
        self.stalled = StalledJobs(self.client, Queue())
        self.seen: dict[str, JobState] = {}
        self.results: dict[str, Any] = {}
        self.begun: dict[str, int] = {}
        self.held: dict[str, str] = {}
        self.executions = 0

    def observe(self, job_id: str) -> JobState:
        """Read the job and check that it moved as the table allows, or not at all."""
        state = self.jobs.get(job_id).state
        before = self.seen[job_id]
        # Two rules of one step may have passed through running or queued.
        assert state == before or state in TRANSITIONS[before], (before, state)
        self.seen[job_id] = state
        return state

    @rule(target=ids, number=st.integers(0, 99), deadline=st.sampled_from([0, 0.001, 100]))
    def admit(self, number: int, deadline: float) -> str:
        job_id = f"j{number}"
        open_jobs = sum(not state.terminal for state in self.seen.values())
        try:
            self.jobs.admit(job_id, JobRequest(PICTURE, 3, deadline))
        except QueueFull:
            assert open_jobs >= LIMITS.max_open_jobs
        else:
            assert job_id in self.seen or open_jobs < LIMITS.max_open_jobs
            self.seen.setdefault(job_id, JobState.QUEUED)
        return job_id

    @rule(job_id=ids, lease=st.sampled_from([LONG, ENDED]))
    def deliver(self, job_id: str, lease: float) -> None:
        """A message arrives: the first one, a duplicate, or one for a job that was never admitted."""
        self.executions += 1
        claim = Claim(f"x{self.executions}", "w", lease)
        claimed = claim_job(self.jobs, job_id, claim)
        if claimed is None:
            return
        assert self.seen[job_id] is JobState.QUEUED, "only what is queued begins"
        self.begun[job_id] = self.begun.get(job_id, 0) + 1
        self.held[job_id] = claim.execution
        assert claimed.job.attempts == self.begun[job_id] <= LIMITS.attempts
        self.observe(job_id)
        assert not lease or claim_job(self.jobs, job_id, claim) == claimed, "sent twice, a claim answers the same"

    @rule(job_id=ids, label=st.integers(0, 5))
    def succeed(self, job_id: str, label: int) -> None:
        """A worker reports a result: in time, late, or a second time."""
        self.end(job_id, JobState.SUCCEEDED, succeed(self.jobs, job_id, {"label": label}, MODEL))

    @rule(job_id=ids)
    def fail(self, job_id: str) -> None:
        self.end(job_id, JobState.FAILED, fail(self.jobs, job_id, {"status": 422}))

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        self.end(job_id, JobState.CANCELED, self.jobs.cancel(job_id))

    def end(self, job_id: str, state: JobState, moved: bool) -> None:
        if job_id not in self.seen:
            assert not moved
            return
        assert moved == (state in TRANSITIONS[self.seen[job_id]])
        assert self.observe(job_id) == (state if moved else self.seen[job_id])

    @rule(job_id=ids)
    def process_lost(self, job_id: str) -> None:
        """The parent of a worker saw the child die that ran the job."""
        requeued = self.jobs.requeue(job_id, self.held.get(job_id, ""), "killed")
        if requeued is Requeued.EXHAUSTED:
            assert self.begun[job_id] == LIMITS.attempts
        if job_id in self.seen:
            self.observe(job_id)

    @rule()
    def repair(self) -> None:
        seconds, microseconds = self.client.time()
        now_ms = seconds * 1000 + microseconds // 1000
        for job_id in self.stalled.past_deadline(now_ms):
            if self.jobs.expire_all([job_id])[job_id]:
                assert self.seen[job_id] is JobState.QUEUED
        for job_id, execution in self.stalled.overdue(now_ms).items():
            assert self.seen[job_id] is JobState.RUNNING
            assert execution == self.held[job_id]
            self.jobs.requeue(job_id, execution, "lost", lease_ended=True)
        for job_id in self.stalled.publish_lost().published:
            assert self.seen[job_id] is JobState.QUEUED
        for job_id in self.seen:
            self.observe(job_id)

    @invariant()
    def what_ended_stays_as_it_is(self) -> None:
        for job_id, state in getattr(self, "seen", {}).items():
            if state.terminal:
                job = self.jobs.get(job_id)
                assert job.state is state
                assert self.results.setdefault(job_id, (job.result, job.problem)) == (job.result, job.problem)

    @invariant()
    def the_indexes_agree_with_the_records(self) -> None:
        seen = getattr(self, "seen", {})
        open_ids = {job_id for job_id, state in seen.items() if not state.terminal}
        running = {job_id for job_id, state in seen.items() if state is JobState.RUNNING}
        assert set(self.client.zrange(OPEN_KEY, 0, -1)) == open_ids
        assert set(self.client.zrange(LEASES_KEY, 0, -1)) == running
        assert set(self.client.zrange(DEADLINES_KEY, 0, -1)) <= open_ids
        assert int(self.client.get(BYTES_KEY) or 0) == len(open_ids) * PICTURE.bytes


@pytest.mark.parametrize("examples", [150])
def test_any_order_of_events_leaves_each_job_with_one_end(redis_server: RedisServer, examples: int) -> None:
    with redis_server.client() as client:
        LifeCycle.client = client
        run_state_machine_as_test(
            LifeCycle,
            settings=settings(
                max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )

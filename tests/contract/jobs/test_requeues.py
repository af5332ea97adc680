"""An attempt that is given up has its job queued again, as often as jobs may be tried."""

from typing import Any

from shared.jobs.claims import Claim
from shared.jobs.models import JobState, Requeued
from shared.jobs.queue import QUEUE_NAME
from shared.jobs.redis_keys import LEASES_KEY
from shared.jobs.store import Jobs
from tests.contract.jobs.bench import ENDED, LONG, MODEL, admit, now_ms, put_into
from tests.support.claims import claim_job
from tests.support.messages import take_all
from tests.support.outcomes import fail, succeed
from worker.jobs.stalled import StalledJobs


def test_a_released_job_is_published_again(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j")
    take_all(client)
    claim_job(jobs, "j", Claim("x", "w", LONG))
    jobs.requeue("j", "x", "its worker died")
    assert take_all(client) == ["j"]


def test_release_queues_the_job_again_until_its_attempts_are_used_up(jobs: Jobs) -> None:
    # Given a job that was begun and released twice
    admit(jobs, "j")
    for attempt in (1, 2):
        claimed = claim_job(jobs, "j", Claim(f"a{attempt}", "w", LONG))
        assert claimed is not None and claimed.job.attempts == attempt
        assert jobs.requeue("j", f"a{attempt}", "its worker died") is Requeued.QUEUED
        assert jobs.get("j").state is JobState.QUEUED
    # When the third attempt is lost too
    claim_job(jobs, "j", Claim("a3", "w", LONG))
    assert jobs.requeue("j", "a3", "its worker died") is Requeued.EXHAUSTED
    # Then the job has failed and says why
    job = jobs.get("j")
    assert job.state is JobState.FAILED
    assert job.problem is not None and (job.problem["status"], job.problem["title"]) == (500, "Too many attempts")
    assert "its worker died" in job.problem["detail"]


def test_a_late_result_of_a_released_attempt_counts(jobs: Jobs) -> None:
    # Given a job whose attempt was given up
    put_into(jobs, JobState.RUNNING)
    jobs.requeue("j", "x", "slow")
    # When the slow attempt ends after all, Then its result is taken, and the new delivery is dropped
    assert succeed(jobs, "j", {"slow": 1}, MODEL)
    assert claim_job(jobs, "j", Claim("x2", "w", LONG)) is None


def test_only_leases_that_ended_are_overdue(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given one job under a live lease and one whose lease has ended
    admit(jobs, "live", "dead")
    claim_job(jobs, "live", Claim("x1", "w", LONG))
    claim_job(jobs, "dead", Claim("x2", "w", ENDED))
    # Then the second is overdue, and only it is released as such
    assert stalled.overdue(now_ms(client)) == {"dead": "x2"}
    assert jobs.requeue("dead", "x2", "lost", lease_ended=True) is Requeued.QUEUED
    assert jobs.requeue("live", "x1", "lost", lease_ended=True) is Requeued.NONE
    assert jobs.get("live").state is JobState.RUNNING


def test_a_job_may_be_requeued_uncounted_to_wait_for_some_seconds(jobs: Jobs, client: Any) -> None:
    # Given a job that runs, and was delivered
    admit(jobs, "j")
    take_all(client)
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) is not None
    # When it is requeued without being published, twice
    jobs.requeue("j", "x", "store away", counted=False, publish=False)
    jobs.requeue("j", "x", "store away", counted=False, publish=False)
    # Then it waits without an attempt or a lease, and is not delivered for now
    job = jobs.get("j")
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert not client.exists(LEASES_KEY) and not client.llen(QUEUE_NAME)
    # And when it comes back, it is as good as new
    claimed = claim_job(jobs, "j", Claim("y", "w", LONG))
    assert claimed is not None and claimed.job.attempts == 1


def test_a_job_that_has_ended_is_not_requeued(jobs: Jobs) -> None:
    admit(jobs, "j")
    fail(jobs, "j", {"status": 422})
    assert jobs.requeue("j", "", "store away", counted=False) is Requeued.NONE
    assert jobs.get("j").state is JobState.FAILED

"""A job ends once, and what is left of it."""

from typing import Any

import pytest

from shared.errors import GoneJob
from shared.jobs.backlog import BacklogReader
from shared.jobs.claims import Claim
from shared.jobs.models import TRANSITIONS, EndNotice, JobState
from shared.jobs.redis_keys import LEASES_KEY, OPEN_KEY
from shared.jobs.store import Jobs
from tests.contract.jobs.bench import LIMITS, LONG, MODEL, QUEUE, TERMINAL, admit, now_ms, put_into
from tests.support.claims import claim_job
from tests.support.outcomes import fail, succeed
from tests.support.turned_clock import TurnedClock
from tests.support.wait import eventually


@pytest.mark.parametrize("seconds", [8 * 3600, -3600])
def test_a_clock_that_is_set_does_not_make_the_queue_look_slow(
    client: Any, reader: BacklogReader, seconds: int
) -> None:
    # Given jobs that take a second each, and a clock that is set while they run
    turned = TurnedClock(client, now_ms(client))
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    admit(jobs, *"abcde")
    for number, job_id in enumerate("abcd"):
        claim_job(jobs, job_id)
        turned.wait(1)
        if number == 2:
            turned.set(seconds)
        succeed(jobs, job_id, {}, MODEL)
    # Then the expected time between two ends is no more than a few seconds
    assert 0 <= reader.read().interval_ms <= 2_000


@pytest.mark.parametrize("origin", [JobState.QUEUED, JobState.RUNNING, *TERMINAL])
@pytest.mark.parametrize("target", TERMINAL)
def test_every_end_is_reached_from_where_the_table_allows_it_and_from_nowhere_else(
    jobs: Jobs, origin: JobState, target: JobState
) -> None:
    # Given a job in `origin`
    put_into(jobs, origin)
    # When it is moved to `target`
    moves = {
        JobState.SUCCEEDED: lambda: succeed(jobs, "j", {"late": True}, MODEL),
        JobState.FAILED: lambda: fail(jobs, "j", {"status": 500}),
        JobState.CANCELED: lambda: jobs.cancel("j"),
    }
    moved = moves[target]()
    # Then it moved if the table says so, and the first terminal state stays
    assert moved == (target in TRANSITIONS[origin])
    assert jobs.get("j").state == (target if moved else origin)


def test_a_finished_job_is_no_longer_open_and_expires(jobs: Jobs, client: Any) -> None:
    # Given a running job
    put_into(jobs, JobState.RUNNING)
    # When it succeeds
    succeed(jobs, "j", {"prediction_1": {}}, MODEL)
    # Then its result is there for a while, and nothing of it is open
    assert jobs.get("j").result == {"prediction_1": {}}
    assert jobs.get("j").model == MODEL
    assert 0 < client.ttl("job:j") <= 100
    assert client.zcard(OPEN_KEY) == client.zcard(LEASES_KEY) == 0


def test_a_result_that_outlived_its_time_is_gone_not_unknown(jobs: Jobs, client: Any) -> None:
    # Given a finished job
    put_into(jobs, JobState.SUCCEEDED)
    # When its record expires
    client.delete("job:j")
    # Then it is gone
    with pytest.raises(GoneJob):
        jobs.get("j")


def test_a_deleted_job_is_gone(jobs: Jobs) -> None:
    put_into(jobs, JobState.SUCCEEDED)
    jobs.delete("j")
    with pytest.raises(GoneJob):
        jobs.get("j")


def test_the_end_of_a_job_is_published(jobs: Jobs, client: Any) -> None:
    # Given a subscriber
    put_into(jobs, JobState.RUNNING)
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe("jobs:ended")
        subscription.get_message(timeout=1)
        # When the job ends
        succeed(jobs, "j", {}, MODEL)
        # Then it hears how
        message = eventually(lambda: subscription.get_message(timeout=1))
        notice = EndNotice.parse(message["data"])
        assert (notice.job_id, notice.job()) == ("j", jobs.get("j"))


def test_failed_jobs_are_listed(jobs: Jobs) -> None:
    # Given one that succeeded and two that failed
    admit(jobs, *"abc")
    succeed(jobs, "a", {}, MODEL)
    fail(jobs, "b", {"status": 422, "detail": "first"})
    fail(jobs, "c", {"status": 500, "detail": "second"})
    # Then the two are listed with their reasons
    assert {job.id: job.problem["detail"] for job in jobs.failed(10) if job.problem} == {"b": "first", "c": "second"}
    assert len(jobs.failed(1)) == 1
    # And a job whose record was deleted is not listed
    jobs.delete("b")
    assert [job.id for job in jobs.failed(10)] == ["c"]


def test_the_drain_rate_is_learnt_from_jobs_that_end_while_others_wait(
    jobs: Jobs, client: Any, reader: BacklogReader
) -> None:
    # Given jobs of which the first two take long
    admit(jobs, *"abcd")
    assert reader.read().seconds_for(10) == 1, "a guess, before anything has ended"
    for job_id in "ab":
        claim_job(jobs, job_id, Claim(job_id, "w", LONG))
        client.hset(f"job:{job_id}", "begun_ms", int(client.hget(f"job:{job_id}", "begun_ms")) - 4000)
        client.delete("jobs:drain")
        succeed(jobs, job_id, {}, MODEL)
    # Then the next ones are expected to take as long
    assert 7 <= reader.read().seconds_for(2) <= 9

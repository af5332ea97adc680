"""A claim takes the next jobs that may be run, once."""

from typing import Any

import fakeredis
import pytest

from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.models import Ended, JobState, Outcome, Requeued
from shared.jobs.queue import QUEUE_NAME
from shared.jobs.redis_keys import DEADLINES_KEY, LEASES_KEY
from shared.jobs.store import Jobs
from tests.contract.jobs.bench import LIMITS, LONG, MODEL, PICTURE, QUEUE, admit, now_ms, put_into
from tests.support.claims import claim_job, claim_next, new_claim
from tests.support.messages import take_all
from tests.support.outcomes import fail, succeed
from tests.support.turned_clock import TurnedClock
from tests.support.wait import eventually
from worker.jobs.stalled import StalledJobs


def test_the_next_job_is_begun_from_the_queue(jobs: Jobs, client: Any) -> None:
    # Given jobs with their messages in the queue, one of which may not begin
    admit(jobs, *"abc")
    jobs.cancel("a")
    # When a worker asks for the next one, Then it has the first that may begin, and its message is gone
    claimed = claim_next(jobs)
    assert claimed is not None and claimed.job.id == "b"
    assert take_all(client) == ["c"]
    assert claim_next(jobs) is None


def test_one_job_ends_and_the_next_one_begins(jobs: Jobs, client: Any) -> None:
    # Given a job that runs and one that waits
    admit(jobs, *"ab")
    claim_next(jobs, Claim("x1", "w", LONG))
    # When the first ends and the next is wanted, also on a server that has lost the scripts
    if not isinstance(client, fakeredis.FakeRedis):
        client.script_flush()
    failed = Outcome.failed({"status": 422})
    (claimed,) = jobs.end_and_claim("a", failed, "x1", Claim("x2", "w", LONG)).jobs
    # Then both has happened, once
    assert (claimed.job.id, claimed.job.attempts) == ("b", 1)
    assert jobs.get("a").state is JobState.FAILED
    assert jobs.end_and_claim("b", failed, "x2", Claim("x3", "w", LONG)).jobs == []


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("no JSON", "no task"),
        ("", "no task"),
        ("[]", "no task"),
        ("5", "no task"),
        ('{"headers": {}}', "no task"),
        ('{"headers": []}', "no task"),
        ('{"headers": {"id": 5, "task": "classify"}}', "classify"),
        ('{"headers": {"id": "j", "task": 5}, "content-type": "application/json"}', "no task"),
        ('{"headers": {"id": "j", "task": "shop.send_mail"}, "content-type": "application/json"}', "shop.send_mail"),
    ],
)
def test_a_message_of_another_program_is_moved_aside_and_named(
    jobs: Jobs, client: Any, message: str, name: str
) -> None:
    # Given a message that nobody here has written, and a job behind it
    client.lpush(QUEUE_NAME, message)
    admit(jobs, "j")
    # When the next job is claimed, by a claim that is sent twice
    claim = new_claim()
    first, second = jobs.claim(claim), jobs.claim(claim)
    # Then it is the job, the message is kept once, and it was named
    assert first == second
    assert ([claimed.job.id for claimed in first.jobs], first.foreign) == (["j"], [name])
    assert client.lrange("jobs:foreign", 0, -1) == [message]


def test_the_list_of_foreign_messages_is_capped(jobs: Jobs, client: Any) -> None:
    # Given more messages of other programs than one claim looks at
    client.lpush(QUEUE_NAME, *[f"message {number}" for number in range(250)])
    # When they have been claimed past, Then the newest ones are kept
    names = [len(jobs.claim(new_claim()).foreign) for _ in range(3)]
    assert names == [100, 100, 50]
    assert client.llen("jobs:foreign") == 100
    assert client.lindex("jobs:foreign", 0) == "message 249"


def test_what_runs_on_a_worker_is_known_with_its_execution(jobs: Jobs, stalled: StalledJobs) -> None:
    admit(jobs, *"abc")
    claim_job(jobs, "a", Claim("x1", "w1", LONG))
    claim_job(jobs, "b", Claim("x2", "w2", LONG))
    claim_job(jobs, "c", Claim("x3", "w1", LONG))
    assert stalled.running("w1") == {"a": "x1", "c": "x3"}


def test_begin_counts_the_attempt_and_takes_a_lease(jobs: Jobs, client: Any) -> None:
    # Given a queued job
    admit(jobs, "j")
    # When a worker begins it
    begun = claim_job(jobs, "j", Claim("x", "worker-1", LONG))
    # Then it is running there, once
    assert begun is not None
    job = begun.job
    assert (job.state, job.attempts, job.worker) == (JobState.RUNNING, 1, "worker-1")
    assert client.zscore(LEASES_KEY, "j") > job.begun_ms


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED])
def test_a_delivery_of_a_job_that_is_not_queued_is_dropped(jobs: Jobs, state: JobState) -> None:
    # Given a job in another state
    put_into(jobs, state)
    before = jobs.get("j")
    # When its message is delivered again, Then nothing begins and nothing changes
    assert claim_job(jobs, "j", Claim("other", "w2", LONG)) is None
    assert jobs.get("j") == before


def test_a_delivery_of_an_unknown_job_is_dropped(jobs: Jobs) -> None:
    assert claim_job(jobs, "nobody", Claim("x", "w", LONG)) is None


def test_a_claim_that_is_sent_again_takes_no_second_job(jobs: Jobs, client: Any) -> None:
    # Given a claim whose answer was lost
    admit(jobs, *"abc")
    claim = new_claim()
    first = jobs.claim(claim)
    # When it is sent again, Then it has the job that it had, and the others wait
    assert jobs.claim(claim) == first
    assert [claimed.job.id for claimed in first.jobs] == ["a"]
    assert take_all(client) == ["b", "c"]


def test_a_claim_that_found_nothing_takes_nothing_when_it_is_sent_again(jobs: Jobs, client: Any) -> None:
    claim = new_claim()
    assert jobs.claim(claim).jobs == []
    admit(jobs, "j")
    assert jobs.claim(claim).jobs == []
    assert take_all(client) == ["j"]


def test_several_jobs_may_be_claimed_at_once(jobs: Jobs, client: Any) -> None:
    # Given four jobs, one of which may not be run
    admit(jobs, *"abcd")
    jobs.cancel("b")
    # When two are claimed, twice
    claim = Claim("x", "w", LONG, most=2)
    first = jobs.claim(claim)
    # Then they are the first two that may be run
    assert [claimed.job.id for claimed in first.jobs] == ["a", "c"]
    assert jobs.claim(claim) == first
    assert take_all(client) == ["d"]


def test_a_claim_that_comes_too_late_takes_nothing(client: Any) -> None:
    # Given a process that knows Redis' clock, and sends a claim that is held up for four seconds
    turned = TurnedClock(client)
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    jobs.claim(new_claim())
    admit(jobs, "j")
    turned.set(4)
    # When Redis comes to it, Then it is refused; and the process, which still waits, asks again
    (claimed,) = jobs.claim(new_claim()).jobs
    assert (claimed.job.id, claimed.job.begun_ms) == ("j", turned.now_ms)


@pytest.mark.parametrize("execution", ["other", "x0"])
def test_a_running_job_is_changed_by_its_execution_only(jobs: Jobs, execution: str) -> None:
    # Given a job that an execution holds, after another one has lost it
    admit(jobs, "j")
    claim_job(jobs, "j", Claim("x0", "w", LONG))
    jobs.requeue("j", "x0", "slow")
    claim_job(jobs, "j", Claim("x1", "w", LONG))
    before = jobs.get("j")
    # When another execution ends it or gives it up, Then nothing changes
    assert not fail(jobs, "j", {"status": 500}, execution)
    assert not succeed(jobs, "j", {}, MODEL, execution=execution)
    assert jobs.requeue("j", execution, "lost") is Requeued.NONE
    assert jobs.requeue("j", execution, "lost", counted=False) is Requeued.NONE
    assert jobs.get("j") == before
    # And its own may
    assert succeed(jobs, "j", {}, MODEL, execution="x1")


def test_a_late_result_is_not_taken_while_another_execution_runs_the_job(jobs: Jobs) -> None:
    admit(jobs, "j")
    claim_job(jobs, "j", Claim("x0", "w", LONG))
    jobs.requeue("j", "x0", "slow")
    claim_job(jobs, "j", Claim("x1", "w", LONG))
    assert not jobs.end_and_claim("j", Outcome.succeeded({}, MODEL), "x0", new_claim()).ended
    assert jobs.end_and_claim("j", Outcome.succeeded({}, MODEL), "x1", new_claim()).ended


def test_what_a_claim_took_unheard_is_given_back_without_costing_an_attempt(jobs: Jobs, client: Any) -> None:
    # Given a claim whose answer never came
    admit(jobs, "j")
    jobs.claim(Claim("x", "w", LONG))
    # When it is given back, Then the job waits as if nothing had been
    jobs.give_back("x")
    jobs.give_back("never was")
    assert (jobs.get("j").state, jobs.get("j").attempts, take_all(client)) == (JobState.QUEUED, 0, ["j"])


def test_the_same_execution_may_ask_again(jobs: Jobs) -> None:
    # Given an execution whose answer was lost on the way
    admit(jobs, "j")
    first = claim_job(jobs, "j", Claim("x", "w", LONG))
    # When it asks again, Then it has the job, and no attempt was counted twice
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) == first


def test_a_job_past_its_deadline_does_not_begin_and_expires(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given queued jobs: one whose deadline passes, one with time left, and one without a deadline
    jobs.admit("late", JobRequest(PICTURE, 3, deadline_seconds=0.001))
    jobs.admit("early", JobRequest(PICTURE, 3, deadline_seconds=100))
    admit(jobs, "any time")
    eventually(lambda: stalled.past_deadline(now_ms(client)) == ["late"])
    # When both are delivered
    assert claim_job(jobs, "late", Claim("x", "w", LONG)) is None
    assert claim_job(jobs, "early", Claim("y", "w", LONG)) is not None
    # Then the first expires, and one that has begun never does
    assert jobs.expire_all(["late", "early"]) == {"late": Ended.YES, "early": Ended.NO}
    assert jobs.get("late").state is JobState.EXPIRED
    assert client.zrange(DEADLINES_KEY, 0, -1) == ["early"]


def test_a_record_of_a_newer_version_is_left_to_a_newer_worker(jobs: Jobs, client: Any) -> None:
    # Given a job that a newer API has written
    admit(jobs, "j")
    client.hset("job:j", "format_version", 99)
    # When it is delivered to this worker, Then it stays queued
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) is None
    assert jobs.get("j").state is JobState.QUEUED

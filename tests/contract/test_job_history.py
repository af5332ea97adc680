"""Each end of a job is counted once, in its minute, whoever ends it; what is old is forgotten."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.batches.models import BatchRequest, NewPicture
from shared.batches.store import Batches
from shared.jobs.admission import IdempotencyKey, JobRequest
from shared.jobs.history import HISTORY_TTL_SECONDS, MINUTES, JobHistory
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import HISTORY_PREFIX
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.support.claims import claim_job
from tests.support.outcomes import fail, succeed
from tests.support.turned_clock import TurnedClock

QUEUE = Queue("h:")
LIMITS = JobLimits(50, 5_000, 1, 100, 200)
REQUEST = JobRequest(ImageInfo("0" * 64, "PNG", 1, 1, 7), top=1)
MODEL = {"name": "m", "digest": "d"}
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
KNOWN = KnownResult(LABELS, MODEL)
PROBLEM = {"status": 422, "title": "T", "detail": "D"}


@pytest.fixture
def turned(each_client: Any) -> TurnedClock:
    return TurnedClock(each_client)


@pytest.fixture
def jobs(each_client: Any, turned: TurnedClock) -> Jobs:
    return Jobs(each_client, QUEUE, LIMITS, clock=turned.clock)


def counts(client: Any, turned: TurnedClock) -> dict[str, int]:
    """Return how many jobs ended in the time that is shown, by state, without zeros."""
    found = JobHistory(client, QUEUE).read(turned.now_ms)
    return {state.value: sum(each) for state, each in found.counts.items() if sum(each)}


def run_out(jobs: Jobs, job_id: str) -> None:
    claimed = claim_job(jobs, job_id)
    assert claimed
    jobs.requeue(job_id, claimed.execution, "its worker died")


ENDS: dict[str, tuple[Callable[[Jobs, str], object], JobState]] = {
    "with labels": (lambda jobs, job_id: succeed(jobs, job_id, LABELS, MODEL), JobState.SUCCEEDED),
    "for its picture": (lambda jobs, job_id: fail(jobs, job_id, PROBLEM), JobState.FAILED),
    "after its last attempt": (run_out, JobState.FAILED),
    "canceled": (lambda jobs, job_id: jobs.cancel(job_id), JobState.CANCELED),
    "canceled with others": (lambda jobs, job_id: jobs.cancel_all([job_id]), JobState.CANCELED),
    "at its deadline": (lambda jobs, job_id: jobs.expire_all([job_id]), JobState.EXPIRED),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_counted_once(each_client: Any, turned: TurnedClock, jobs: Jobs, name: str) -> None:
    end, state = ENDS[name]
    # Given a job
    jobs.admit("a", REQUEST)
    assert counts(each_client, turned) == {}
    # When it ends, and others try to end it too
    end(jobs, "a")
    jobs.cancel("a")
    succeed(jobs, "a", LABELS, MODEL)
    # Then one end is counted
    assert counts(each_client, turned) == {state: 1}


def test_a_cached_result_is_an_end_and_joining_it_is_none(each_client: Any, turned: TurnedClock, jobs: Jobs) -> None:
    key = IdempotencyKey("", "k", "f")
    jobs.admit("a", REQUEST, key, KNOWN)
    jobs.admit("b", REQUEST, key, KNOWN)
    assert counts(each_client, turned) == {"succeeded": 1}


def test_cached_pictures_of_a_batch_are_ends(each_client: Any, turned: TurnedClock, jobs: Jobs) -> None:
    batches = Batches(each_client, QUEUE, LIMITS, jobs.backlog, turned.clock)
    batches.open("b", BatchRequest(top=1))
    pictures = [NewPicture("x", "x.png", REQUEST, KNOWN), NewPicture("y", "y.png", REQUEST)]
    batches.add("b", pictures, None, in_redis=False)
    assert counts(each_client, turned) == {"succeeded": 1}


def test_ends_stand_in_their_minutes(each_client: Any, turned: TurnedClock, jobs: Jobs) -> None:
    # Given ends in three minutes, one of them in an earlier hour
    for job_id, seconds in (("a", 5400), ("b", 60), ("c", 0), ("d", 0)):
        jobs.admit(job_id, REQUEST)
        succeed(jobs, job_id, LABELS, MODEL)
        turned.wait(seconds)
    # When they are read
    found = JobHistory(each_client, QUEUE).read(turned.now_ms)
    # Then each is where it belongs, and the last minute is the current one
    succeeded = found.counts[JobState.SUCCEEDED]
    assert (len(succeeded), succeeded[-1], succeeded[-2], succeeded[-92], sum(succeeded)) == (MINUTES, 2, 1, 1, 4)
    assert found.last_minute_ms == turned.now_ms // 60_000 * 60_000
    # And once they are older than what is shown, they are gone from it
    turned.wait(MINUTES * 60)
    assert counts(each_client, turned) == {}


def test_a_clock_that_is_set_back_counts_in_its_own_minute(each_client: Any, turned: TurnedClock, jobs: Jobs) -> None:
    jobs.admit("a", REQUEST)
    succeed(jobs, "a", LABELS, MODEL)
    # When the clock is set back by a day
    turned.set(-86_400)
    jobs.admit("b", REQUEST)
    succeed(jobs, "b", LABELS, MODEL)
    # Then the minutes up to now are shown, without the future
    assert counts(each_client, turned) == {"succeeded": 1}


def test_the_counts_expire(each_client: Any, turned: TurnedClock, jobs: Jobs) -> None:
    # Given a job that ends in each minute of three hours
    for number in range(180):
        jobs.admit(f"j{number}", REQUEST)
        succeed(jobs, f"j{number}", LABELS, MODEL)
        turned.wait(60)
    # Then there is a hash for each hour, and each expires after what is shown
    keys = each_client.keys(QUEUE.key(HISTORY_PREFIX) + "*")
    assert len(keys) in (3, 4)
    assert {0 < each_client.ttl(key) <= HISTORY_TTL_SECONDS for key in keys} == {True}

"""Which jobs are admitted, and in which order they wait."""

from dataclasses import replace
from typing import Any

import pytest

from shared.errors import KeyReused, PictureTooLarge, QueueFull
from shared.jobs.admission import IdempotencyKey, JobRequest
from shared.jobs.backlog import BacklogReader
from shared.jobs.claims import Claim
from shared.jobs.limits import JobLimits
from shared.jobs.models import JobState
from shared.jobs.redis_keys import BYTES_KEY, OPEN_KEY
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.contract.jobs.bench import LIMITS, LONG, MODEL, PICTURE, QUEUE, REQUEST, admit
from tests.support.claims import claim_job, claim_next
from tests.support.messages import take_all
from tests.support.turned_clock import TurnedClock
from tests.support.wait import eventually
from worker.jobs.stalled import StalledJobs


def test_an_admitted_job_is_queued_with_what_was_said_of_it(jobs: Jobs) -> None:
    # When a job is admitted
    position = jobs.admit("j", JobRequest(PICTURE, top=5)).position
    # Then its record says so
    job = jobs.get("j")
    assert (job.state, job.picture, job.top, job.attempts) == (JobState.QUEUED, PICTURE, 5, 0)
    assert job.accepted_ms > 0 and position == 1


def test_jobs_are_published_as_they_are_admitted_and_taken_in_that_order(jobs: Jobs, client: Any) -> None:
    admit(jobs, *"abc")
    assert take_all(client) == [*"abc"]


def test_a_job_that_is_not_admitted_is_not_published(jobs: Jobs, client: Any) -> None:
    # Given a full queue
    admit(jobs, *"abcde")
    take_all(client)
    # When one more comes, or one whose result is known, Then nothing is published
    with pytest.raises(QueueFull):
        admit(jobs, "f")
    jobs.admit("g", REQUEST, known=KnownResult({}, MODEL))
    assert take_all(client) == []


def test_a_picture_that_never_fits_is_refused_for_good(jobs: Jobs, client: Any) -> None:
    # Given a full queue, and a picture with more bytes than all open jobs together may have
    admit(jobs, *"abcde")
    take_all(client)
    large = replace(REQUEST, picture=replace(PICTURE, bytes=LIMITS.max_stored_bytes + 1))
    # When it comes, Then waiting would not help, and nothing is published
    with pytest.raises(PictureTooLarge, match="can never be accepted"):
        jobs.admit("f", large)
    assert take_all(client) == []
    # And if its result is known, it is not stored
    assert jobs.admit("g", large, known=KnownResult({}, MODEL)).known


def test_admission_stops_at_the_limit_and_leaves_nothing(jobs: Jobs, client: Any) -> None:
    # Given as many open jobs as are admitted
    admit(jobs, *"abcde")
    # When one more comes, Then it is refused with a time to come back, and no record is left
    with pytest.raises(QueueFull) as refused:
        jobs.admit("f", REQUEST)
    assert 1 <= refused.value.retry_after_seconds <= 60
    assert not client.exists("job:f")
    # And when one has ended, there is room again
    jobs.cancel("a")
    jobs.admit("f", REQUEST)


def test_positions_follow_the_order_of_acceptance(jobs: Jobs, reader: BacklogReader) -> None:
    # Given three jobs of which the first runs
    for job_id in "abc":
        admit(jobs, job_id)
        eventually(lambda job_id=job_id: reader.position(job_id))
    claim_job(jobs, "a", Claim("x", "w", LONG))
    # Then the others are first and second
    assert sorted([reader.position("b"), reader.position("c")]) == [1, 2]


def test_a_job_that_was_deleted_is_not_admitted_again(jobs: Jobs, client: Any) -> None:
    # Given an upload whose answer was lost, and whose job was canceled and deleted since
    admit(jobs, "j")
    jobs.cancel("j")
    jobs.delete("j")
    take_all(client)
    # When it is sent again, Then the answer is that of the first time, and nothing begins
    assert jobs.admit("j", REQUEST).job_id == "j"
    assert jobs.backlog.read().open_jobs == 0
    assert take_all(client) == []


def test_jobs_keep_their_order_when_the_clock_is_set_back(client: Any, reader: BacklogReader) -> None:
    # Given a queue
    turned = TurnedClock(client)
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    admit(jobs, *"ab")
    # When the clock is set back by an hour, and more come
    turned.set(-3600)
    admit(jobs, *"cd")
    # Then they come later, and no message is taken for lost
    assert [reader.position(job_id) for job_id in "abcd"] == [1, 2, 3, 4]
    claim_next(jobs)
    claim_next(jobs)
    turned.wait(6)
    assert StalledJobs(client, QUEUE, turned.clock).publish_lost().published == []


def test_admission_stops_at_the_stored_bytes(client: Any, reader: BacklogReader) -> None:
    # Given room for three pictures
    jobs = Jobs(client, QUEUE, JobLimits(100, 3_500, 3, 100, 200))
    admit(jobs, *"abc")
    # When one more comes, Then it is refused
    with pytest.raises(QueueFull):
        jobs.admit("d", REQUEST)
    # And when one has ended, its bytes are free again
    jobs.cancel("a")
    jobs.admit("d", REQUEST)
    assert reader.read().stored_bytes == int(client.get(BYTES_KEY)) == 3_000


def test_an_admission_may_be_repeated_by_a_caller_that_did_not_hear_the_answer(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j", "j")
    assert (client.zcard(OPEN_KEY), client.get(BYTES_KEY)) == (1, "1000")


def key(fingerprint: str = "f", scope: str = "") -> IdempotencyKey:
    return IdempotencyKey(scope, "my key", fingerprint)


def test_a_key_that_comes_again_joins_the_first_job(jobs: Jobs, client: Any) -> None:
    # Given a job with a key
    first = jobs.admit("j", REQUEST, key())
    assert not first.joined
    # When the request comes again, Then it joins, and nothing new is written
    again = jobs.admit("k", REQUEST, key())
    assert (again.job_id, again.joined) == ("j", True)
    assert client.zcard(OPEN_KEY) == 1 and not client.exists("job:k")
    # And keys do not last for ever
    assert client.ttl(key().redis_key) > 0


def test_a_key_with_another_request_is_refused(jobs: Jobs, client: Any) -> None:
    jobs.admit("j", REQUEST, key("one"))
    with pytest.raises(KeyReused):
        jobs.admit("k", REQUEST, key("other"))
    assert not client.exists("job:k")


def test_keys_of_different_callers_do_not_meet(jobs: Jobs) -> None:
    jobs.admit("j", REQUEST, key(scope="alice"))
    assert not jobs.admit("k", REQUEST, key(scope="bob")).joined

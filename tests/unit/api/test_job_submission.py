"""What `JobSubmission` decides: labels, a job to ask for, or a wait that was in vain."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.job_submission import Finished, Open, TimedOut
from api.preferences import Preferences
from api.uploads import Upload
from shared.errors import TooManyWaiters
from shared.jobs.admission import JobRequest
from shared.jobs.models import ImageInfo, JobState
from tests.support.outcomes import fail
from tests.unit.api.conftest import Bench, make_bench

PLAIN, ASYNC, WAIT = Preferences(False, None), Preferences(True, None), Preferences(False, 1)


@contextmanager
def reading() -> Iterator[Upload]:
    yield Upload(b"data", JobRequest(ImageInfo("0" * 64, "PNG", 1, 1, 4), top=3))


@contextmanager
def fail_to_read() -> Iterator[Upload]:
    raise AssertionError("The upload was read.")
    yield


def test_a_client_that_waits_gets_the_ended_job(bench: Bench) -> None:
    # Given a worker, When a client waits, Then it gets the job as it ended
    with bench.worker(lambda job_id: fail(bench.jobs, job_id, {"status": 500, "title": "T", "detail": "D"})):
        found = bench.submission.submit(PLAIN, "", reading())
    assert isinstance(found, Finished) and found.job.state is JobState.FAILED
    # And the cache did not know the result
    assert found.known is False


def test_a_client_that_does_not_wait_gets_the_open_job(bench: Bench) -> None:
    found = bench.submission.submit(ASYNC, "", reading())
    assert isinstance(found, Open) and (found.state, found.position) == (JobState.QUEUED, 1)
    # And the same when it follows the job
    followed = bench.submission.follow(found.job_id, ASYNC, None)
    assert isinstance(followed, Open) and followed.state is JobState.QUEUED


def test_a_wait_that_is_over_ends_as_the_client_prefers(bench: Bench) -> None:
    # Given no worker, Then a client that takes nothing but labels is told that it waited in vain
    assert isinstance(bench.submission.submit(PLAIN, "", reading()), TimedOut)
    # And another one gets the open job
    found = bench.submission.submit(WAIT, "", reading())
    assert isinstance(found, Open) and found.preferences == WAIT


def test_without_a_free_slot_nothing_is_read_for_a_client_that_must_wait() -> None:
    # Given an API whose only slot is taken
    bench = make_bench(max_waiters=1)
    with bench.waiters.slot(wanted=True):
        # Then a plain upload is not even read
        with pytest.raises(TooManyWaiters):
            bench.submission.submit(PLAIN, "", fail_to_read())
        # And the wait of another one is not honoured
        found = bench.submission.submit(WAIT, "", reading())
    assert isinstance(found, Open) and found.preferences.wait_seconds is None

"""Workers look after stalled jobs in turns, and leases outlast whatever happens to Redis' clock."""

from typing import Any

import pytest

from shared.jobs.admission import JobRequest
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from tests.support.claims import claim_job, new_claim
from tests.support.turned_clock import TurnedClock
from tests.support.twice import TwiceRedis
from worker.jobs.stalled import StalledJobs
from worker.jobs.turns import Turns

QUEUE = Queue()
PERIOD_SECONDS = 2
LEASE_SECONDS = 12
PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=1)


class Bench:
    """A service whose clock the test turns, with one job that a worker holds."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.turned = TurnedClock(client)
        self.jobs = Jobs(client, QUEUE, JobLimits(10, 10_000, 3, 100, 100), clock=self.turned.clock)
        self.stalled = StalledJobs(client, QUEUE, self.turned.clock)
        self.turns = self.new_turns()
        # At the first look of all nobody knows what was before: it lets no lease end.
        self.new_turns().take()
        self.turned.wait(PERIOD_SECONDS)
        self.jobs.admit("j", JobRequest(PICTURE, 3, deadline_seconds=60))
        claim_job(self.jobs, "j", new_claim(lease_seconds=LEASE_SECONDS))

    def new_turns(self) -> Turns:
        return Turns(self.client, QUEUE, PERIOD_SECONDS, self.turned.clock)

    def pass_seconds(self, seconds: int) -> list[str]:
        """Let time pass, with a look every other second; return the jobs whose lease has ended by then."""
        for _ in range(0, seconds, PERIOD_SECONDS):
            self.turned.wait(PERIOD_SECONDS)
            now_ms = self.turns.take()
            assert now_ms == self.turned.now_ms
        return list(self.stalled.overdue(self.turned.now_ms))


@pytest.fixture
def bench(each_client: Any) -> Bench:
    return Bench(each_client)


def test_one_worker_at_a_time_has_the_turn(bench: Bench) -> None:
    # Given two workers
    other = bench.new_turns()
    # When both look every other second, Then one of them has the turn
    for _ in range(3):
        assert bench.turns.take() == bench.turned.now_ms
        assert other.take() is None
        bench.turned.wait(PERIOD_SECONDS)


def test_a_lease_ends_in_time(bench: Bench) -> None:
    assert bench.pass_seconds(LEASE_SECONDS - 2) == []
    assert bench.pass_seconds(2) == ["j"]


@pytest.mark.parametrize("seconds", [-7, -60, -3600, -86_400])
def test_a_lease_and_a_turn_end_though_the_clock_was_set_back(bench: Bench, seconds: int) -> None:
    # Given a look, and a clock that is set back after it
    bench.pass_seconds(4)
    bench.turned.set(seconds)
    # When a whole lease more passes, Then the turn comes every time and the lease has ended
    assert bench.pass_seconds(LEASE_SECONDS + 2) == ["j"]


@pytest.mark.parametrize("seconds", [7, 60, 3600, 8 * 3600])
def test_no_lease_ends_because_the_clock_was_set_ahead(bench: Bench, seconds: int) -> None:
    # Given a look, and a clock that is set ahead (or a machine that slept) after it
    bench.pass_seconds(4)
    bench.turned.set(seconds)
    # Then the lease has as long as before
    assert bench.pass_seconds(LEASE_SECONDS - 6) == []
    assert bench.pass_seconds(8) == ["j"]


@pytest.mark.parametrize("ran", [True, False])
def test_a_gap_is_reported_if_jobs_ran_through_it(bench: Bench, caplog: pytest.LogCaptureFixture, ran: bool) -> None:
    # Given a job that a worker holds, or none, and a minute without any worker
    bench.pass_seconds(4)
    if not ran:
        bench.jobs.cancel("j")
    bench.turned.wait(60)
    # When a worker that has just claimed a job looks
    bench.jobs.admit("k", JobRequest(PICTURE, 3))
    claim_job(bench.jobs, "k", new_claim(lease_seconds=LEASE_SECONDS))
    with caplog.at_level("INFO"):
        bench.turns.take()
    # Then it reports the gap only if it concerned a job: it is no news after a start
    assert ("No worker reached Redis for 60 s" in caplog.text) == ran


def test_no_lease_ends_because_the_clock_was_set_between_a_look_and_its_repetition(bench: Bench) -> None:
    # Given a look whose answer is lost, and a clock that is set ahead before it is sent again
    look = Turns(TwiceRedis(bench.client, lambda: bench.turned.set(60)), QUEUE, PERIOD_SECONDS, bench.turned.clock)
    bench.turned.wait(PERIOD_SECONDS)
    before_ms = bench.turned.now_ms
    # When the turn is taken, Then no lease has ended by its time, although the clock was set meanwhile
    now_ms = look.take()
    assert now_ms is not None
    assert bench.stalled.overdue(now_ms) == {}
    assert bench.turned.now_ms == before_ms + 60_000


def test_a_lease_that_was_taken_after_the_clock_was_set_is_as_long_as_any(bench: Bench) -> None:
    # Given a clock that is set back, and a job that is claimed before anybody has looked
    bench.pass_seconds(4)
    bench.turned.set(-3600)
    bench.jobs.admit("k", JobRequest(PICTURE, 3))
    claim_job(bench.jobs, "k", new_claim(lease_seconds=LEASE_SECONDS))
    # Then its lease neither ends at once nor lives on
    assert "k" not in bench.pass_seconds(LEASE_SECONDS - 2)
    assert "k" in bench.pass_seconds(4)


def test_no_lease_ends_because_redis_was_away_after_its_clock_was_set_back(bench: Bench) -> None:
    # Given a clock that is set back, a job that is claimed then, and a Redis that nobody reaches for a while
    bench.pass_seconds(4)
    bench.turned.set(-3600)
    bench.jobs.admit("k", JobRequest(PICTURE, 3))
    claim_job(bench.jobs, "k", new_claim(lease_seconds=LEASE_SECONDS))
    bench.turned.wait(LEASE_SECONDS + 4)
    # When a worker looks again, Then the job's worker has time to report its end
    now_ms = bench.turns.take()
    assert now_ms is not None
    assert bench.stalled.overdue(now_ms) == {}


def test_a_deadline_passes_in_time_though_the_clock_was_set_back(bench: Bench) -> None:
    # Given a job with a deadline of a minute, and a clock that is set back
    bench.jobs.admit("k", JobRequest(PICTURE, 3, deadline_seconds=60))
    bench.pass_seconds(4)
    bench.turned.set(-3600)
    # When a minute more has passed, Then so has the deadline
    bench.pass_seconds(62)
    assert "k" in bench.stalled.past_deadline(bench.turned.now_ms)
    assert claim_job(bench.jobs, "k") is None

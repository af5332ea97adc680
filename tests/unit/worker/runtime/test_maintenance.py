"""The worker's main process: ready when a child is, and fair to pictures when Redis was away."""

import threading
from typing import Any

import pytest
import redis
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from shared.clock import Clock
from shared.images.store import ImageRefused, ImageStoreAway
from shared.worker_registry import WorkerRecord
from worker.decoding.errors import DecodeProcessLost
from worker.jobs.consumer import is_of_delivery
from worker.jobs.progress import ChildProgress, Stage
from worker.runtime.maintenance import WorkerMaintenance

RECORD = WorkerRecord("w1", "litert", "m", "d", "litert-1:d", 2)


class StubWorkers:
    """Takes heartbeats, or raises what it was given."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.beats = 0

    def beat(self, record: WorkerRecord) -> None:
        if self.error:
            raise self.error
        self.beats += 1


class StubReaper:
    """Says which jobs a delivery holds, and notes what was done to them."""

    def __init__(self) -> None:
        self.jobs = {"j": "t:1"}
        self.done: list[tuple[str, str]] = []
        self.problem: Any = None
        self.reason, self.died = "", False
        self.error: Exception | None = None
        self.lost_answers = 0

    def held(self, worker: str, delivery_tag: str) -> dict[str, str]:
        return {job: execution for job, execution in self.jobs.items() if is_of_delivery(execution, delivery_tag)}

    def fail(self, job_id: str, execution: str, problem: Any) -> None:
        self._note("failed", job_id, execution)
        self.problem = problem

    def requeue(self, job_id: str, execution: str, reason: str, *, died: bool = False) -> None:
        self._note("requeued", job_id, execution)
        self.reason, self.died = reason, died

    def requeue_uncounted(self, job_id: str, execution: str, reason: str, *, publish: bool) -> None:
        self._note("uncounted" if publish else "unpublished", job_id, execution)

    def _note(self, what: str, job_id: str, execution: str) -> None:
        if self.error:
            raise self.error
        if self.jobs[job_id] == execution:
            self.done.append((what, job_id))
        if self.lost_answers:
            self.lost_answers -= 1
            raise redis.TimeoutError


class StubProgress:
    """Says what the child that got the delivery "t" is at."""

    def __init__(self) -> None:
        self.child: ChildProgress | None = ChildProgress("j", Stage.RUNNING, 0)

    def of(self, delivery_tag: str) -> ChildProgress | None:
        return self.child if delivery_tag == "t" else None


class TurnedClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Bench:
    """A main process whose loop the test turns."""

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.warmed = threading.Event()
        self.workers, self.reaper = StubWorkers(), StubReaper()
        self.progress = StubProgress()
        parts: tuple[Any, ...] = (self.warmed, self.workers, self.reaper)
        self.maintenance = WorkerMaintenance(RECORD, *parts, 10, self.progress, Clock(monotonic=clock.monotonic))

    def turn(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            self.maintenance.beat()


@pytest.fixture
def bench() -> Bench:
    return Bench(TurnedClock())


def test_a_worker_is_ready_when_a_child_has_loaded_its_model(bench: Bench) -> None:
    bench.turn(3)
    assert bench.workers.beats == 0
    bench.warmed.set()
    bench.turn(3)
    assert bench.workers.beats == 3


def ran_for(bench: Bench, seconds: int = 12) -> None:
    """Let a job run for so long while Redis answers every heartbeat."""
    bench.warmed.set()
    bench.turn(seconds)


def test_a_time_limit_counts_against_the_picture_while_redis_answers(bench: Bench) -> None:
    # Given a worker whose heartbeats all arrived while the job ran
    ran_for(bench)
    # When its child is stopped at the time limit, Then the job has failed
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("failed", "j")]


def test_a_time_limit_does_not_count_if_redis_was_away(bench: Bench) -> None:
    # Given a Redis that was away while the job ran
    bench.warmed.set()
    bench.turn(5)
    bench.workers.error = redis.ConnectionError("away")
    bench.turn(1)
    bench.workers.error = None
    bench.turn(6)
    # When the child is stopped at the time limit, Then the job gets another attempt
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("requeued", "j")]


def test_a_time_limit_does_not_count_if_the_loop_stood_still(bench: Bench) -> None:
    # Given a loop that connected to Redis anew for some seconds, and may have missed the job's end
    ran_for(bench)
    bench.clock.now += 6
    # When it returns and finds the time limit passed, Then the job gets another attempt
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("requeued", "j")]


@pytest.mark.parametrize(
    ("error", "died"),
    [(WorkerLostError("signal 9"), True), (DecodeProcessLost("signal 9"), True), (ImageRefused("no"), False)],
)
def test_the_job_of_a_lost_child_is_requeued_and_its_death_is_noted(bench: Bench, error: Exception, died: bool) -> None:
    bench.maintenance.on_failure("t", error)
    assert bench.reaper.done == [("requeued", "j")]
    assert bench.reaper.died is died


@pytest.mark.parametrize("error", [TimeLimitExceeded(10), WorkerLostError("signal 9")])
def test_jobs_that_the_child_had_claimed_and_not_begun_keep_their_attempts(bench: Bench, error: BaseException) -> None:
    # Given a child that holds three jobs by Redis' account, and was running the second
    ran_for(bench)
    bench.reaper.jobs = {"i": "t:1", "j": "t:1", "k": "t:2"}
    # When it is stopped or dies
    bench.maintenance.on_failure("t", error)
    # Then only that one pays for it
    blamed = "failed" if isinstance(error, TimeLimitExceeded) else "requeued"
    assert sorted(bench.reaper.done) == sorted([("uncounted", "i"), (blamed, "j"), ("uncounted", "k")])


def test_a_child_that_waited_for_redis_with_a_result_in_hand_is_no_fault_of_the_picture(bench: Bench) -> None:
    # Given a child that had run its job and was writing the end
    ran_for(bench)
    bench.progress.child = ChildProgress("j", Stage.ENDING, 0)
    # When it is stopped at the time limit, Then the job waits again, and the attempt does not count
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("uncounted", "j")]


def test_a_job_whose_end_redis_did_not_take_keeps_its_attempt(bench: Bench) -> None:
    bench.maintenance.on_failure("t", redis.TimeoutError())
    assert bench.reaper.done == [("uncounted", "j")]


def test_a_child_that_held_nothing_to_its_knowledge_ran_nothing(bench: Bench) -> None:
    # Given a child that asked for a job and did not hear of the one that it got
    ran_for(bench)
    bench.progress.child = ChildProgress("", Stage.IDLE, 0)
    # When it is stopped, Then the attempt does not count
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("uncounted", "j")]


@pytest.mark.parametrize(("seconds", "status"), [(8, 422), (0.5, 500)])
def test_a_time_limit_is_the_pictures_fault_if_its_decoding_took_the_time(
    bench: Bench, seconds: float, status: int
) -> None:
    # Given a child that has decoded a picture for so long
    ran_for(bench)
    bench.progress.child = ChildProgress("j", Stage.DECODING, seconds)
    # When it is stopped at the time limit, Then its job has failed by the fault of whoever took the time
    bench.maintenance.on_failure("t", TimeLimitExceeded(10))
    assert bench.reaper.done == [("failed", "j")]
    assert bench.reaper.problem["status"] == status


def test_the_job_whose_picture_could_not_be_had_waits(bench: Bench) -> None:
    bench.maintenance.on_failure("t", ImageStoreAway("Could not connect"))
    assert bench.reaper.done == [("unpublished", "j")]


def test_a_picture_that_the_store_refuses_costs_an_attempt_and_says_why(bench: Bench) -> None:
    bench.maintenance.on_failure("t", ImageRefused("the image store cannot return its picture (access denied)"))
    assert bench.reaper.done == [("requeued", "j")]
    assert bench.reaper.reason == "the image store cannot return its picture (access denied)"


def test_what_redis_could_not_be_told_it_is_told_when_it_is_back(bench: Bench) -> None:
    # Given a child that was writing the end of its job, and died while Redis was away
    bench.warmed.set()
    bench.progress.child = ChildProgress("j", Stage.ENDING, 0)
    bench.reaper.error = redis.TimeoutError()
    bench.maintenance.on_failure("t", WorkerLostError("signal 9"))
    assert bench.reaper.done == []
    # When another child has taken its place, and Redis is back
    bench.progress.child = None
    bench.reaper.error = None
    bench.turn(1)
    # Then the job waits again, without having lost an attempt, and that is all
    assert bench.reaper.done == [("uncounted", "j")]
    bench.turn(2)
    assert len(bench.reaper.done) == 1


def test_a_lost_child_is_not_blamed_on_another_delivery_of_its_job(bench: Bench) -> None:
    # Given a child that died, and a requeue that Redis did, but whose answer was lost
    bench.warmed.set()
    bench.reaper.lost_answers = 1
    bench.maintenance.on_failure("t", WorkerLostError("signal 9"))
    assert bench.reaper.done == [("requeued", "j")]
    # When the job has come back to this worker, whose new child runs it
    bench.reaper.jobs = {"j": "another tag:1"}
    bench.turn(3)
    # Then that execution goes on
    assert bench.reaper.done == [("requeued", "j")]


def test_what_redis_refuses_again_and_again_is_left_to_the_leases(bench: Bench) -> None:
    bench.warmed.set()
    bench.reaper.error = redis.ResponseError("WRONGTYPE")
    bench.maintenance.on_failure("t", WorkerLostError("signal 9"))
    bench.turn(30)
    bench.reaper.error = None
    bench.turn(30)
    assert bench.reaper.done == []

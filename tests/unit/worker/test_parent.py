"""The parent of the children: ready when one is, and fair to pictures when Redis was away."""

import threading
from typing import Any

import pytest
import redis
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from shared.image_store import ImageRefused, ImageStoreAway
from shared.workers import WorkerRecord
from worker import parent as parent_module
from worker.parent import Parent

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


class StubRepair:
    """Notes what was done to jobs."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.problem: Any = None
        self.reason = ""

    def give_up(self, worker: str, delivered_id: str, problem: Any) -> None:
        self.done.append(("given up", delivered_id))
        self.problem = problem

    def hand_back(self, worker: str, delivered_id: str, reason: str) -> None:
        self.done.append(("handed back", delivered_id))
        self.reason = reason

    def postpone(self, worker: str, delivered_id: str, reason: str) -> None:
        self.done.append(("postponed", delivered_id))


class StubDecoding:
    """Says for how long the shift that began with "j" has been decoding."""

    def __init__(self) -> None:
        self.decoded_seconds = 0.0

    def seconds(self, delivered_id: str) -> float:
        return self.decoded_seconds if delivered_id == "j" else 0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Bench:
    """A parent whose loop the test turns."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.warmed = threading.Event()
        self.workers, self.repair = StubWorkers(), StubRepair()
        self.decoding = StubDecoding()
        parts: tuple[Any, ...] = (self.warmed, self.workers, self.repair)
        self.parent = Parent(RECORD, *parts, time_limit_seconds=10, decoding=self.decoding)  # type: ignore[arg-type]

    def turn(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            self.parent.beat()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(parent_module, "time", clock)
    return Bench(clock)


def test_a_worker_is_ready_when_a_child_has_loaded_its_model(bench: Bench) -> None:
    bench.turn(3)
    assert bench.workers.beats == 0
    bench.warmed.set()
    bench.turn(3)
    assert bench.workers.beats == 3


def test_a_time_limit_counts_against_the_picture_while_redis_answers(bench: Bench) -> None:
    # Given a worker whose heartbeats all arrived while the job ran
    bench.warmed.set()
    bench.turn(12)
    # When its child is stopped at the time limit, Then the job has failed
    bench.parent.on_failure("j", TimeLimitExceeded(10))
    assert bench.repair.done == [("given up", "j")]


def test_a_time_limit_does_not_count_if_redis_was_away(bench: Bench) -> None:
    # Given a Redis that was away while the job ran
    bench.warmed.set()
    bench.turn(5)
    bench.workers.error = redis.ConnectionError("away")
    bench.turn(1)
    bench.workers.error = None
    bench.turn(6)
    # When the child is stopped at the time limit, Then the job gets another attempt
    bench.parent.on_failure("j", TimeLimitExceeded(10))
    assert bench.repair.done == [("handed back", "j")]


def test_a_time_limit_does_not_count_if_the_loop_stood_still(bench: Bench) -> None:
    # Given a loop that connected to Redis anew for some seconds, and may have missed the job's end
    bench.warmed.set()
    bench.turn(12)
    bench.clock.now += 6
    # When it returns and finds the time limit passed, Then the job gets another attempt
    bench.parent.on_failure("j", TimeLimitExceeded(10))
    assert bench.repair.done == [("handed back", "j")]


def test_the_job_of_a_lost_child_is_handed_back(bench: Bench) -> None:
    bench.parent.on_failure("j", WorkerLostError("signal 9"))
    assert bench.repair.done == [("handed back", "j")]


@pytest.mark.parametrize(("delivered_id", "seconds", "status"), [("j", 8, 422), ("j", 0.5, 500), ("k", 8, 500)])
def test_a_time_limit_is_the_pictures_fault_if_its_decoding_took_the_time(
    bench: Bench, delivered_id: str, seconds: float, status: int
) -> None:
    # Given a shift that has decoded a picture for so long
    bench.warmed.set()
    bench.turn(12)
    bench.decoding.decoded_seconds = seconds
    # When one is stopped at the time limit, Then its job has failed by the fault of whoever took the time
    bench.parent.on_failure(delivered_id, TimeLimitExceeded(10))
    assert bench.repair.done == [("given up", delivered_id)]
    assert bench.repair.problem["status"] == status


def test_the_job_whose_picture_could_not_be_had_waits(bench: Bench) -> None:
    bench.parent.on_failure("j", ImageStoreAway("Could not connect"))
    assert bench.repair.done == [("postponed", "j")]


def test_a_picture_that_the_store_refuses_costs_an_attempt_and_says_why(bench: Bench) -> None:
    bench.parent.on_failure("j", ImageRefused("the image store does not give its picture (access denied)"))
    assert bench.repair.done == [("handed back", "j")]
    assert bench.repair.reason == "the image store does not give its picture (access denied)"


def test_a_store_that_is_away_does_not_end_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise redis.TimeoutError

    monkeypatch.setattr(bench.repair, "hand_back", fail)
    bench.parent.on_failure("j", WorkerLostError("signal 9"))

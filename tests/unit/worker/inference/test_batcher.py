"""The batcher runs at once when it is idle, else what has queued up; one bad picture fails alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.support.wait import eventually, take_time
from worker.inference import batcher as batcher_module
from worker.inference.batcher import Batcher, Floats

MOST = 4
BAD = -1.0


class GatedModel:
    """Gives the mean of each picture as its only logit, a batch each time the test lets it; refuses BAD ones."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.broken = False
        self.fits = 1000
        self._turns = threading.Semaphore(0)

    def let(self, batches: int) -> None:
        for _ in range(batches):
            self._turns.release()

    def take_turns_again(self) -> None:
        """Wait for the test again, however many batches it has let."""
        while self._turns.acquire(blocking=False):
            pass

    def run(self, pictures: Floats) -> Floats:
        self.batches.append(len(pictures))
        assert self._turns.acquire(timeout=30)
        means = pictures.mean(axis=(1, 2, 3))
        if len(pictures) > self.fits:
            raise MemoryError("out of memory")
        if self.broken or BAD in means:
            raise ValueError("the model does not take this")
        return np.asarray(means[:, np.newaxis], dtype=np.float32)


class Bench:
    """A batcher over a gated model, with threads to ask it."""

    def __init__(self, limit_seconds: float = 60, fitting: int | None = None) -> None:
        self.model = GatedModel()
        self.reasons: list[str] = []
        self.batcher = Batcher(self.model.run, MOST, limit_seconds, self.reasons.append, fitting=fitting)
        self._pool = ThreadPoolExecutor(32)

    def ask(self, value: float) -> "Future[Floats]":
        return self._pool.submit(self.batcher.logits, np.full((2, 2, 3), value, np.float32))

    def ask_while_busy(self, values: list[float]) -> "list[Future[Floats]]":
        """Ask for one picture, which the model takes, and queue the others in this order."""
        asked = [self.ask(values[0])]
        eventually(lambda: self.model.batches == [1], what="a first batch of one")
        for count, value in enumerate(values[1:], start=1):
            asked.append(self.ask(value))
            eventually(lambda wanted=count: self.batcher.waiting == wanted, what="a longer queue")  # type: ignore[misc]
        return asked

    def close(self) -> None:
        self.model.let(100)
        self._pool.shutdown()
        self.batcher.close()


@pytest.fixture
def make_bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setattr(batcher_module, "LOOK_SECONDS", 0.02)
    benches: list[Bench] = []

    def make(**options: Any) -> Bench:
        benches.append(Bench(**options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


def test_an_idle_model_runs_a_picture_at_once(bench: Bench) -> None:
    # Given a model with nothing to do, When one picture comes
    asked = bench.ask(0.5)
    bench.model.let(1)
    # Then it is run alone
    assert asked.result(10) == [0.5]
    assert bench.model.batches == [1]


def test_what_queues_up_meanwhile_is_one_batch(bench: Bench) -> None:
    # Given a busy model and three pictures more
    asked = bench.ask_while_busy([1, 2, 3, 4])
    # When it is done
    bench.model.let(2)
    # Then it takes the three together, and each gets its own answer
    assert [one.result(10)[0] for one in asked] == [1, 2, 3, 4]
    assert bench.model.batches == [1, 3]


def test_a_batch_has_no_more_pictures_than_the_limit(bench: Bench) -> None:
    # Given a busy model and more pictures than it may take at once
    values = [float(value) for value in range(1 + 2 * MOST + 1)]
    asked = bench.ask_while_busy(values)
    # When it works them off, Then no batch is larger than the limit
    bench.model.let(10)
    assert [one.result(10)[0] for one in asked] == values
    assert bench.model.batches == [1, MOST, MOST, 1]


def test_one_bad_picture_fails_alone(bench: Bench) -> None:
    # Given a bad picture in the middle of a batch
    asked = bench.ask_while_busy([1, 2, BAD, 4])
    # When the batch is run
    bench.model.let(20)
    # Then the others have their answers, and the model is not blamed
    assert [asked[place].result(10)[0] for place in (0, 1, 3)] == [1, 2, 4]
    with pytest.raises(ValueError, match="does not take this"):
        asked[2].result(10)
    assert bench.reasons == []


def test_one_bad_picture_among_64_is_found_in_log_steps_and_nobody_gives_up() -> None:
    # Given a model that takes 0.5 s for any batch, on a clock of its own, and may take 3 s for a call
    clock = FakeClock()
    reasons: list[str] = []
    calls: list[int] = []

    def run(pictures: Floats) -> Floats:
        calls.append(len(pictures))
        if len(calls) == 1:
            assert queued.wait(30)
        # In steps that those who wait look at in between
        clock.pass_by(0.5, looks=2)
        if BAD in pictures:
            raise ValueError("the model does not take this")
        return pictures[:, 0, 0, :1]

    queued = threading.Event()
    batcher = Batcher(run, 64, 3, reasons.append, clock=clock.now)
    with ThreadPoolExecutor(70) as pool:

        def ask(value: float) -> "Future[Floats]":
            return pool.submit(batcher.logits, np.full((2, 2, 3), value, np.float32))

        # When 64 pictures come together, one of which is bad
        first = ask(0)
        eventually(lambda: calls == [1], what="a busy model")
        asked = [ask(BAD if place == 40 else place) for place in range(64)]
        eventually(lambda: batcher.waiting == 64, what="a full queue")
        queued.set()
        # Then 63 have their answers, one has failed
        assert first.result(60) == [0]
        with pytest.raises(ValueError, match="does not take this"):
            asked[40].result(60)
        assert [one.result(60)[0] for place, one in enumerate(asked) if place != 40] == [*range(40), *range(41, 64)]
    batcher.close()
    # And it took some calls, in which nobody gave the model up
    assert len(calls) <= 15
    assert reasons == []


class FakeClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def pass_by(self, seconds: float, looks: int) -> None:
        """Let time pass in steps, with a pause after each that lets other threads look at the clock."""
        for _ in range(looks):
            self._now += seconds / looks
            take_time(0.03)


def test_a_batch_that_does_not_fit_is_halved_and_no_larger_one_is_formed(bench: Bench) -> None:
    # Given a model whose memory has room for two pictures only
    bench.model.fits = 2
    asked = bench.ask_while_busy([1, 2, 3, 4, 5])
    # When four are run together
    bench.model.let(20)
    # Then all have their answers, by halves
    assert [one.result(10)[0] for one in asked] == [1, 2, 3, 4, 5]
    assert bench.model.batches == [1, 4, 2, 2]
    # And the next ones are not tried together again
    bench.model.batches.clear()
    bench.model.take_turns_again()
    asked = bench.ask_while_busy([1, 2, 3, 4, 5])
    bench.model.let(20)
    assert [one.result(10)[0] for one in asked] == [1, 2, 3, 4, 5]
    assert bench.model.batches == [1, 2, 2]
    assert bench.reasons == []


def test_a_bad_picture_makes_no_smaller_batches(bench: Bench) -> None:
    # Given a batch that failed for a bad picture
    asked = bench.ask_while_busy([1, BAD, 3, 4, 5])
    bench.model.let(20)
    with pytest.raises(ValueError, match="does not take this"):
        asked[1].result(10)
    assert [asked[place].result(10)[0] for place in (0, 2, 3, 4)] == [1, 3, 4, 5]
    # Then the next one is as large as ever
    bench.model.batches.clear()
    bench.model.take_turns_again()
    asked = bench.ask_while_busy([1, 2, 3, 4, 5])
    bench.model.let(20)
    assert [one.result(10)[0] for one in asked] == [1, 2, 3, 4, 5]
    assert bench.model.batches == [1, 4]


def test_larger_batches_are_tried_again_when_smaller_ones_have_gone_well_for_long(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that found room for one picture at its start, and the room is there again
    monkeypatch.setattr(batcher_module, "CALLS_BEFORE_GROWTH", 3)
    bench = make_bench(fitting=1)
    # When some batches have gone well
    asked = bench.ask_while_busy([float(value) for value in range(10)])
    bench.model.let(20)
    assert [one.result(10)[0] for one in asked] == list(range(10))
    # Then larger ones follow, step by step
    assert bench.model.batches == [1, 1, 1, 2, 2, 2, 1]


def test_a_model_that_fails_with_a_good_picture_is_given_up(bench: Bench) -> None:
    # Given a model that no longer works
    bench.model.broken = True
    # When a picture comes, Then the model is given up, not only the picture
    asked = bench.ask(1)
    bench.model.let(3)
    with pytest.raises(ValueError, match="does not take this"):
        asked.result(10)
    assert bench.reasons == ["The model fails on every picture: the model does not take this"]


def test_a_model_that_hangs_is_given_up(make_bench: Callable[..., Bench]) -> None:
    # Given a batch that takes longer than a job may run
    bench = make_bench(limit_seconds=0.1)
    bench.ask(1)
    # Then whoever waits notices
    eventually(lambda: bench.reasons, what="a reason to give up")
    assert "has not answered for 0.1 s" in bench.reasons[0]


def test_a_pause_of_the_machine_is_no_hanging_model() -> None:
    # Given a model at work, which may take three seconds
    clock, reasons = FakeClock(), list[str]()
    looked = threading.Event()

    def now() -> float:
        if clock.now() > 0:
            looked.set()
        return clock.now()

    def run(pictures: Floats) -> Floats:
        # When the machine sleeps for an hour meanwhile, and those who wait look at the clock
        clock.pass_by(3600, looks=1)
        assert looked.wait(10)
        return pictures[:, 0, 0, :1]

    batcher = Batcher(run, MOST, 3, reasons.append, clock=now)
    assert batcher.logits(np.ones((2, 2, 3), np.float32)) == [1]
    batcher.close()
    # Then nobody gives it up
    assert reasons == []


def test_a_model_that_forgets_a_picture_gives_no_wrong_answers() -> None:
    # Given a model that gives one answer to any batch
    batcher = Batcher(lambda pictures: pictures[:0, 0, 0], MOST, 60, lambda _: None)
    # When it is asked, Then that is an error
    with pytest.raises(ValueError, match="0 results for 1 pictures"):
        batcher.logits(np.zeros((2, 2, 3), np.float32))
    batcher.close()


def test_close_answers_what_is_queued_and_ends_the_thread(bench: Bench) -> None:
    # Given a busy model and a queue
    asked = bench.ask_while_busy([1, 2, 3])
    # When it is closed
    closing = threading.Thread(target=bench.batcher.close)
    closing.start()
    bench.model.let(2)
    closing.join(10)
    # Then all were answered and the thread is gone
    assert [one.result(10)[0] for one in asked] == [1, 2, 3]
    assert not closing.is_alive()

"""The batcher runs at once when it is idle, else what has queued up; one bad picture fails alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.support.wait import eventually
from worker import batcher as batcher_module
from worker.batcher import Batcher, Floats

MOST = 4
BAD = -1.0


class GatedModel:
    """Gives the mean of each picture as its only logit, a batch each time the test lets it; refuses BAD ones."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.broken = False
        self._turns = threading.Semaphore(0)

    def let(self, batches: int) -> None:
        for _ in range(batches):
            self._turns.release()

    def run(self, pictures: Floats) -> Floats:
        self.batches.append(len(pictures))
        assert self._turns.acquire(timeout=30)
        means = pictures.mean(axis=(1, 2, 3))
        if self.broken or BAD in means:
            raise ValueError("the model does not take this")
        return np.asarray(means[:, np.newaxis], dtype=np.float32)


class Bench:
    """A batcher over a gated model, with threads to ask it."""

    def __init__(self, limit_seconds: float = 60) -> None:
        self.model = GatedModel()
        self.reasons: list[str] = []
        self.batcher = Batcher(self.model.run, MOST, limit_seconds, self.reasons.append)
        self._pool = ThreadPoolExecutor(32)

    def ask(self, value: float) -> "Future[Floats]":
        return self._pool.submit(self.batcher.logits, np.full((2, 2, 3), value, np.float32))

    def ask_while_busy(self, values: list[float]) -> "list[Future[Floats]]":
        """Ask for one picture, which the model takes, and queue the others in this order."""
        asked = [self.ask(values[0])]
        eventually(lambda: self.model.batches == [1], what="a first batch of one")
        for count, value in enumerate(values[1:], start=1):
            asked.append(self.ask(value))
            eventually(lambda wanted=count: self.batcher._places.qsize() == wanted, what="a longer queue")  # type: ignore[misc]
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


def test_a_model_that_fails_with_a_good_picture_is_given_up(bench: Bench) -> None:
    # Given a model that no longer works
    bench.model.broken = True
    # When a picture comes, Then the model is given up, not only the picture
    asked = bench.ask(1)
    bench.model.let(3)
    with pytest.raises(ValueError, match="does not take this"):
        asked.result(10)
    assert bench.reasons == ["The model fails with any picture: the model does not take this"]


def test_a_model_that_hangs_is_given_up(make_bench: Callable[..., Bench]) -> None:
    # Given a batch that takes longer than a job may run
    bench = make_bench(limit_seconds=0.1)
    bench.ask(1)
    # Then whoever waits notices
    eventually(lambda: bench.reasons, what="a reason to give up")
    assert "has not answered for 0.1 s" in bench.reasons[0]


def test_a_model_that_forgets_a_picture_gives_no_wrong_answers() -> None:
    # Given a model that gives one answer to any batch
    batcher = Batcher(lambda pictures: pictures[:0, 0, 0], MOST, 60, lambda _: None)
    # When it is asked, Then that is an error
    with pytest.raises(ValueError, match="0 answers to 1 pictures"):
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
    assert not closing.is_alive() and not bench.batcher._thread.is_alive()

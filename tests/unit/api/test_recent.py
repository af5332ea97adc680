"""A value that is read again when it is too old, by one of those who ask for it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from api.recent import Recent
from tests.support.clock import Clock


def test_a_value_is_read_again_when_it_is_too_old() -> None:
    # Given a value that has been read
    clock, numbers = Clock(), count()
    recent = Recent(lambda: next(numbers), 60, clock)
    recent.get()
    # When time passes, Then it is read again after the limit and not before
    clock.now += 59
    assert [recent.get(), recent.get()] == [0, 0]
    clock.now += 2
    assert [recent.get(), recent.get()] == [1, 1]


def test_one_caller_reads_and_the_others_get_the_previous_value() -> None:
    # Given a value that is too old, and a slow read of it
    begun, go_on = threading.Event(), threading.Event()
    clock, numbers = Clock(), count()

    def read() -> int:
        number = next(numbers)
        if number:
            begun.set()
            go_on.wait(10)
        return number

    recent = Recent(read, 60, clock)
    recent.get()
    clock.now += 61
    threading.Event().wait(0.6)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(recent.get)
        begun.wait(10)
        # When others ask, Then they do not wait for it
        assert [recent.get() for _ in range(8)] == [0] * 8
        go_on.set()
        # And the one that reads gets the new value
        assert reading.result(10) == 1


def test_an_error_is_raised_and_the_next_call_reads_again() -> None:
    outcomes = iter([1, OSError("away"), 2])

    def read() -> int:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    clock = Clock()
    recent = Recent(read, 60, clock)
    assert recent.get() == 1
    clock.now += 61
    with pytest.raises(OSError, match="away"):
        recent.get()
    assert recent.get() == 2

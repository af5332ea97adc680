"""A time limit goes by while somebody looks, and not during a pause."""

from shared.awake_timer import AwakeTimer
from tests.support.clock import Clock


def test_time_that_is_looked_at_counts() -> None:
    clock = Clock()
    timer = AwakeTimer(2, clock=clock)
    for left in (1.5, 1.0, 0.5, 0, 0):
        clock.now += 0.5
        assert timer.left() == left


def test_a_pause_counts_as_one_step() -> None:
    # Given ten seconds, and steps of one
    clock = Clock()
    timer = AwakeTimer(10, step_seconds=1, clock=clock)
    # When the machine sleeps for an hour, Then nine are left
    clock.now += 3600
    assert timer.left() == 9


def test_a_clock_that_is_set_back_gives_no_time() -> None:
    clock = Clock()
    timer = AwakeTimer(10, clock=clock)
    clock.now -= 3600
    assert timer.left() == 10

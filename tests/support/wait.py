"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.02


def eventually(condition: Callable[[], T], seconds: float = 15, what: str = "the condition") -> T:
    """Return the first true value of `condition`; AssertionError when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s; last value: {value!r}")
        pause.wait(POLL_SECONDS)


def in_time(call: Callable[[], T], seconds: float, tries: int = 10) -> T:
    """Return the result of the first `call` that takes less than `seconds`; AssertionError if none does.

    A busy machine delays some of the calls, a bug all of them.
    """
    for _ in range(tries):
        began = time.monotonic()
        result = call()
        if time.monotonic() - began < seconds:
            return result
    raise AssertionError(f"each of {tries} calls took {seconds} s or longer")


def take_time(seconds: float) -> None:
    """Be busy as a model is that takes so long: the work of a stand-in, not a wait for anything."""
    threading.Event().wait(seconds)

"""Calls that may hang, such as those of a network file system, waited for with a time limit."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from shared.awake_timer import STEP_SECONDS, AwakeTimer


def in_thread(call: Callable[[], Any]) -> "Future[Any]":
    """Run `call` in a thread of its own, which is left alone if nobody waits for it any more.

    A system call on a dead mount cannot be interrupted; only a daemon thread lets the process go on, and end.
    MemoryError if there is no room for a thread.
    """
    future: Future[Any] = Future()

    def work() -> None:
        # From now on it can no longer be canceled.
        future.set_running_or_notify_cancel()
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        threading.Thread(target=work, name="image store", daemon=True).start()
    except RuntimeError as error:
        raise MemoryError(str(error)) from error
    return future


def error_within(future: "Future[Any]", seconds: float) -> BaseException | None:
    """Wait for the call; return what it raised, None if it did well, TimeoutError if it is not over in time.

    What is raised is about the waiting itself: a soft time limit, say.
    """
    timer = AwakeTimer(seconds)
    while (left := timer.left()) and not future.done():
        try:
            return future.exception(min(left, STEP_SECONDS))
        except TimeoutError:
            continue
    if future.done():
        return future.exception()
    future.cancel()
    return TimeoutError(f"no answer within {seconds:g} s")

"""Calls that may hang, such as those of a network file system, waited for with a time limit."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from shared.awake_timer import STEP_SECONDS, AwakeTimer

# A helper with nothing to do for so long ends.
IDLE_SECONDS = 30.0


class Helpers:
    """Threads that make calls for others, who may leave one that hangs alone.

    A system call on a dead mount cannot be interrupted; only a daemon thread lets the process go on, and end. As many
    are started as calls run at once, since to start one for each call costs more than reading a small file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Have `call` made by a thread; MemoryError if there is no room for one."""
        future: Future[Any] = Future()
        # From now on it can no longer be canceled.
        future.set_running_or_notify_cancel()
        with self._lock:
            helper = self._idle.pop() if self._idle else None
        if helper is None:
            helper = _Helper(self)
            try:
                helper.start()
            except RuntimeError as error:
                raise MemoryError(str(error)) from error
        helper.calls.put((call, future))
        return future

    def take_back(self, helper: "_Helper") -> None:
        """Have a helper that is done wait for the next call."""
        with self._lock:
            self._idle.append(helper)

    def dismiss(self, helper: "_Helper") -> bool:
        """Forget a helper that is idle; False if it has just been given a call."""
        with self._lock:
            if helper not in self._idle:
                return False
            self._idle.remove(helper)
            return True


class _Helper(threading.Thread):
    def __init__(self, helpers: Helpers) -> None:
        super().__init__(name="image store", daemon=True)
        self._helpers = helpers
        self.calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            try:
                call, future = self.calls.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._helpers.dismiss(self):
                    return
                continue
            try:
                result = call()
            except BaseException as error:
                self._helpers.take_back(self)
                future.set_exception(error)
            else:
                self._helpers.take_back(self)
                future.set_result(result)
            # It must not keep a picture until the next call.
            del call, future
            result = None


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

"""Time limits for calls that may hang, such as those to a network file system."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from shared.awake_timer import STEP_SECONDS, AwakeTimer

# A thread that is idle for this long ends.
IDLE_SECONDS = 30.0


class CallThreads(Protocol):
    """Runs calls that may hang, each in a thread."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop for asynchronous file systems; None to use fsspec's own."""

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` in a thread; MemoryError if no thread can be started."""


class Helpers:
    """A pool of daemon threads for calls that may hang; a caller that times out abandons its thread.

    A system call on a dead mount cannot be interrupted; in a daemon thread it blocks neither the process nor its exit.
    Idle threads are reused, because starting a thread costs more than reading a small file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []
        self.loop = None

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` in a thread; MemoryError if no thread can be started."""
        future: Future[Any] = Future()
        # The call can no longer be canceled.
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
        """Add a thread that has finished its call to the idle ones."""
        with self._lock:
            self._idle.append(helper)

    def dismiss(self, helper: "_Helper") -> bool:
        """Remove an idle thread; False if it has just been given a call."""
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
            # Do not keep a picture in memory until the next call.
            del call, future
            result = None


def error_within(future: "Future[Any]", seconds: float) -> BaseException | None:
    """Wait for the call; return None if it succeeds, its exception if it fails, a TimeoutError if time runs out.

    Only an exception that interrupts the wait, such as a soft time limit, is raised.
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

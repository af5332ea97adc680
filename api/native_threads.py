"""Native threads for calls that would block the loop: files on a hung mount, asyncio, long computations."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, TypeVar, cast

from gevent import monkey

T = TypeVar("T")
R = TypeVar("R")

# For header checks and JSON: more threads would slow down the thread that runs the loop.
COMPUTING_THREADS = 2
_computing = threading.BoundedSemaphore(COMPUTING_THREADS)

_start_native_thread = monkey.get_original("_thread", "start_new_thread")
_native_getaddrinfo = monkey.get_original("socket", "getaddrinfo")


class NativeThreads:
    """Runs the calls of an image store in native threads, as `shared.bounded_call.Helpers` does without gevent."""

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` in a thread of its own, which may hang; MemoryError if no thread can be started."""
        future: Future[Any] = Future()
        # The call can no longer be canceled.
        future.set_running_or_notify_cancel()
        try:
            _start_native_thread(_complete, (future, call))
        except RuntimeError as error:
            raise MemoryError(str(error)) from error
        return future

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop that runs in a native thread, for asynchronous file systems."""
        loop = asyncio.new_event_loop()
        loop.set_default_executor(_NativeExecutor())
        _start_native_thread(loop.run_forever, ())
        return loop


class _NativeExecutor(ThreadPoolExecutor):
    """Runs what the event loop delegates, such as name resolution: a green thread would need the blocked thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if call is socket.getaddrinfo:
            call = _native_getaddrinfo
        return NativeThreads().submit(partial(call, *args, **kwargs))


def _complete(future: "Future[Any]", call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
        # The error refers to this frame: without this, both and the argument would wait for the garbage collector.
        del future
    else:
        future.set_result(result)


def run_natively(call: Callable[[T], R], argument: T) -> R:
    """Return what `call` returns or raise what it raises, after running it in one of COMPUTING_THREADS threads."""
    with _computing:
        return cast(R, NativeThreads().submit(partial(call, argument)).result())

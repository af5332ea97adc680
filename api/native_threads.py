"""Native threads for calls that would stop all green threads: files on a hung mount, asyncio, slow header checks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import Any, TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool

from shared.images.inspect import inspect_picture
from shared.jobs.models import ImageInfo

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 32
# The headers of these are checked within a millisecond; others may take up to half a second.
QUICK_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF")
QUICK_BYTES = 1024 * 1024


class NativeThreads:
    """Runs the calls of an image store in native threads, as `shared.bounded_call.Helpers` does without gevent."""

    def __init__(self) -> None:
        self._pool = ThreadPool(MOST_THREADS)

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` in a thread; it starts late while MOST_THREADS calls hang."""
        future: Future[Any] = Future()
        # The call can no longer be canceled.
        future.set_running_or_notify_cancel()
        self._pool.spawn(_complete, future, call)
        return future

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop that runs in a native thread of its own, for asynchronous file systems."""
        loop = asyncio.new_event_loop()
        ThreadPool(1).spawn(loop.run_forever)
        return loop


def _complete(future: "Future[Any]", call: Callable[[], Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


def inspect_uploaded(data: bytes) -> ImageInfo:
    """Do as `inspect_picture` does, in a native thread if that may take long."""
    if len(data) <= QUICK_BYTES and data.startswith(QUICK_STARTS):
        return inspect_picture(data)
    return run_natively(inspect_picture, data)


def run_natively(call: Callable[[T], R], argument: T) -> R:
    """Return what `call` returns or raise what it raises, after running it in a native thread."""
    # An exception is returned, as gevent would log one that is raised.
    error, result = gevent.get_hub().threadpool.apply(_outcome, (call, argument))
    if error is not None:
        raise error
    return cast(R, result)


def _outcome(call: Callable[[Any], Any], argument: Any) -> tuple[Exception | None, Any]:
    try:
        return None, call(argument)
    except Exception as error:
        return error, None

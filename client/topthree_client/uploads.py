"""Adapts the number of concurrent uploads to the speed of the line."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

import httpx

# A new client does not know its line yet.
FIRST_CONCURRENT = 4
# Uploads that take longer are too slow for another one beside them, and for as many as there are.
QUICK_SECONDS = 2.0
SLOW_SECONDS = 10.0
# Failures that happen before anything of the upload is sent.
NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class UploadLimit:
    """Limits concurrent uploads: more of them while they are quick, half as many if one is slow or cut.

    On a slow line, many concurrent uploads all take too long, and servers and proxies cut them.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._most = FIRST_CONCURRENT
        self._running = 0
        self._waiting = 0
        self._shrunk_at = -math.inf

    def run(self, upload: Callable[[], httpx.Response]) -> httpx.Response:
        """Call `upload` as soon as the limit allows it; the limit follows from its duration and outcome."""
        with self._turn() as started:
            try:
                answer = upload()
            except NOT_CONNECTED:
                raise
            except httpx.RequestError:
                self._shrink(started)
                raise
            seconds = time.monotonic() - started
            if answer.status_code == httpx.codes.REQUEST_TIMEOUT or seconds > SLOW_SECONDS:
                self._shrink(started)
            elif answer.is_success and seconds < QUICK_SECONDS:
                self._grow()
            return answer

    @contextmanager
    def _turn(self) -> Iterator[float]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._running < self._most)
            self._waiting -= 1
            self._running += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _grow(self) -> None:
        with self._changed:
            # A limit far above the need would take long to shrink when the line becomes slow.
            if self._waiting:
                self._most += 1

    def _shrink(self, started: float) -> None:
        with self._changed:
            # Concurrent uploads are slow or cut together: all of them are one reason.
            if started >= self._shrunk_at:
                self._most = max(1, self._most // 2)
                self._shrunk_at = time.monotonic()

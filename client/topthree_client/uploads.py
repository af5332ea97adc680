"""Adapts the number of concurrent uploads, and the size of requests, to the speed of the connection."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock

import httpx

# The limit at the start, when the speed of the connection is not known yet.
FIRST_CONCURRENT = 4
# An upload that takes less than QUICK_SECONDS raises the limit; one that takes more than SLOW_SECONDS halves it.
QUICK_SECONDS = 2.0
SLOW_SECONDS = 10.0
# The size of a request with several pictures, in bytes: at the start, and at least and at most. The service accepts
# 64 MiB, but above some megabytes a request is not cheaper per picture, and smaller ones are lost less often.
FIRST_BYTES = 1024 * 1024
LEAST_BYTES = 64 * 1024
MOST_BYTES = 8 * 1024 * 1024
# Failures before any part of the upload is sent: they say nothing about the speed.
NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class UploadLimit:
    """Limits concurrent uploads; the limit grows while they are quick and is halved if one is slow or interrupted.

    On a slow connection, many concurrent uploads all take so long that servers and proxies abort them.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._most = FIRST_CONCURRENT
        self._running = 0
        self._waiting = 0
        self._shrunk_at = -math.inf

    def run(self, upload: Callable[[], httpx.Response]) -> httpx.Response:
        """Call `upload` as soon as the limit allows it, and adapt the limit to its duration and outcome."""
        with self._slot() as started:
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
    def _slot(self) -> Iterator[float]:
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
            # Grow only if uploads are waiting: an unused high limit would have to be halved many times later.
            if self._waiting:
                self._most += 1

    def _shrink(self, started: float) -> None:
        with self._changed:
            # Uploads that ran at the same time fail for the same reason: halve the limit only once for them.
            if started >= self._shrunk_at:
                self._most = max(1, self._most // 2)
                self._shrunk_at = time.monotonic()


class RequestSize:
    """How many bytes a request with several pictures should have; adapted like UploadLimit, and thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.most_bytes = FIRST_BYTES

    def note(self, size: int, seconds: float) -> None:
        """Adapt to a request of `size` bytes that took so long."""
        with self._lock:
            if seconds > SLOW_SECONDS:
                self.most_bytes = max(LEAST_BYTES, self.most_bytes // 2)
            elif seconds < QUICK_SECONDS and 2 * size > self.most_bytes:
                self.most_bytes = min(MOST_BYTES, 2 * self.most_bytes)

    def note_interruption(self) -> None:
        """Adapt to a request that was interrupted."""
        self.note(0, math.inf)

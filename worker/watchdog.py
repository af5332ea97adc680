"""Ends a worker that is alive but no longer takes jobs, so that whoever runs it starts it again."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import redis

from shared.queue import QUEUE_NAME

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
# So much longer than a job may run does a worker with jobs in the queue go without taking one.
DEAF_MARGIN_SECONDS = 15
# How long a worker that is told to stop may take before it is killed.
STOP_SECONDS = 10


class Watchdog:
    """Watches from a thread of its own, as the loop that it watches may hang."""

    def __init__(self, client: redis.Redis, job_limit_seconds: float, end: Callable[[], None]) -> None:
        """`end` is called once, when no job was taken for longer than any may run, though jobs were there."""
        self._redis = client
        self._deaf_seconds = job_limit_seconds + DEAF_MARGIN_SECONDS
        self._end = end
        self._hearing_since = time.monotonic()

    def start(self) -> None:
        """Watch until the process ends."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def taken(self) -> None:
        """Note that a job was taken from the queue."""
        self._hearing_since = time.monotonic()

    def is_deaf(self) -> bool:
        """Whether Redis answers, jobs wait, and none was taken for too long."""
        try:
            waiting = int(self._redis.llen(QUEUE_NAME))
        except redis.RedisError:
            waiting = 0
        if not waiting:
            self.taken()
        return time.monotonic() - self._hearing_since > self._deaf_seconds

    def _watch(self) -> None:
        pause = threading.Event()
        while not self.is_deaf():
            pause.wait(CHECK_SECONDS)
        log.critical("Jobs wait and this worker has taken none for %d s: it ends itself.", self._deaf_seconds)
        self._end()


def end_this_process() -> None:
    """Ask this process to stop, and kill it when it does not."""
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)

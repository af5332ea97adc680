"""Ends a worker that is alive but no longer takes jobs, so that whoever runs it starts it again."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

import redis
from celery.worker import state

from shared.awake_timer import AwakeTimer
from shared.jobs.queue import Queue

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
# A worker that has nothing to do takes a job that waits at once; on a slow line it takes some seconds.
IDLE_SECONDS = 8
# So much longer than a job may run does a busy worker with jobs in the queue go without taking one.
DEAF_MARGIN_SECONDS = 15
# A worker that stops waits for the jobs that run; one that is not gone by then hangs (Celery can, after errors).
STOP_MARGIN_SECONDS = 10
# An event loop that has not turned for so long hangs. It stands still too while Redis is away.
STALLED_SECONDS = 300


class Flag(Protocol):
    """An event that is shared with child processes."""

    def is_set(self) -> bool:
        """Whether it has happened."""


class Watchdog:
    """Watches from inside the event loop whether jobs are taken, and from a thread whether the loop turns."""

    def __init__(
        self,
        client: redis.Redis,
        queue: Queue,
        warmed: Flag,
        job_limit_seconds: float,
        end: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`end` is called when no job was taken for longer than any may run, though jobs were there.

        Until `warmed` is set the model is being loaded, and jobs may wait.
        """
        self._redis = client
        self._queue = queue
        self._warmed = warmed
        self._deaf_seconds = job_limit_seconds + DEAF_MARGIN_SECONDS
        self._stop_seconds = job_limit_seconds + STOP_MARGIN_SECONDS
        self._end = end
        self._clock = clock
        self._turned = self._hearing_since = self._busy_at = clock()

    def start(self, stopping: Callable[[], bool]) -> None:
        """Watch the loop until the process ends, and that it does end once it is `stopping`.

        The thread touches no Redis and no log before it ends the process: children are forked while it runs, and a
        lock that it held then would stay locked in them for ever.
        """
        threading.Thread(target=self._watch_loop, args=[stopping], name="watchdog", daemon=True).start()

    def taken(self) -> None:
        """Note that a job was taken from the queue."""
        self._hearing_since = self._clock()

    def check(self) -> None:
        """End the worker if Redis answers, jobs wait, and none was taken for too long; the loop calls it."""
        now = self._clock()
        stood_still = now - self._turned > 2 * CHECK_SECONDS
        self._turned = now
        if state.active_requests:
            self._busy_at = now
        # A loop that comes back from connecting to Redis anew has not left anything lying yet.
        if stood_still or not self._warmed.is_set() or not self._jobs_wait():
            self._hearing_since = self._busy_at = now
        if (
            now - self._hearing_since > self._deaf_seconds
            or now - max(self._hearing_since, self._busy_at) > IDLE_SECONDS
        ):
            log.critical("Jobs wait and this worker takes none: it ends itself.")
            self._hearing_since = self._busy_at = now
            self._end()

    def _jobs_wait(self) -> bool:
        try:
            return bool(self._redis.llen(self._queue.list_key))
        except redis.RedisError:
            return False

    def _watch_loop(self, stopping: Callable[[], bool]) -> None:
        # Timers that a pause of the machine, or of this process, does not use up.
        pause, turned = threading.Event(), self._turned
        stalled, stop = self._timer(STALLED_SECONDS), self._timer(self._stop_seconds)
        while stalled.left() and stop.left():
            pause.wait(CHECK_SECONDS)
            if self._turned != turned:
                turned, stalled = self._turned, self._timer(STALLED_SECONDS)
            if not stopping():
                stop = self._timer(self._stop_seconds)
        log.critical("This worker hangs: it is killed. What it ran is begun again elsewhere.")
        _end_at_once()

    def _timer(self, seconds: float) -> AwakeTimer:
        return AwakeTimer(seconds, 2 * CHECK_SECONDS, self._clock)


def stop_this_process() -> None:
    """Ask this process to finish what runs and end."""
    os.kill(os.getpid(), signal.SIGTERM)


def kill_this_process(reason: str) -> None:
    """End this process at once, as it can no longer be asked; its jobs are begun again when their leases end."""
    log.critical("%s This worker is killed.", reason)
    _end_at_once()


def _end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    # The kernel lets nobody kill the first process of a container from inside.
    os._exit(128 + signal.SIGKILL)

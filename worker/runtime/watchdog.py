"""Ends a worker that is alive but no longer takes jobs, so that its process manager restarts it."""

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
# An idle worker takes a waiting job at once; allow for a slow network.
IDLE_SECONDS = 8
# A busy worker that takes no job for this much longer than a job may run is stuck.
DEAF_MARGIN_SECONDS = 15
# A stopping worker that is still alive this long after the job time limit hangs (Celery can hang after errors).
STOP_MARGIN_SECONDS = 10
# An event loop that has not turned for this long hangs. It also blocks while Redis is unreachable.
STALLED_SECONDS = 300


class Flag(Protocol):
    """A read-only view of an event that is shared with child processes."""

    def is_set(self) -> bool:
        """Whether the event has happened."""


class Watchdog:
    """Checks in the event loop that jobs are taken, and in a thread that the event loop turns."""

    def __init__(
        self,
        client: redis.Redis,
        queue: Queue,
        warmed: Flag,
        job_limit_seconds: float,
        end: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`end` is called when jobs wait in the queue and the worker has taken none for too long.

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
        """Start the thread that kills the process if the event loop hangs, or if a stop takes too long.

        `stopping` returns whether the worker is stopping. The thread uses neither Redis nor the log until it kills the
        process: children are forked while it runs, and a lock that it holds would stay locked in them forever.
        """
        threading.Thread(target=self._watch_loop, args=[stopping], name="watchdog", daemon=True).start()

    def taken(self) -> None:
        """Record that a message was taken from the queue."""
        self._hearing_since = self._clock()

    def check(self) -> None:
        """End the worker if Redis answers, jobs wait, and none was taken for too long; called by the event loop."""
        now = self._clock()
        stood_still = now - self._turned > 2 * CHECK_SECONDS
        self._turned = now
        if state.active_requests:
            self._busy_at = now
        # After the loop was blocked (by reconnecting to Redis, say), give the worker the full time to take a job.
        if stood_still or not self._warmed.is_set() or not self._jobs_wait():
            self._hearing_since = self._busy_at = now
        if (
            now - self._hearing_since > self._deaf_seconds
            or now - max(self._hearing_since, self._busy_at) > IDLE_SECONDS
        ):
            log.critical("Jobs are waiting, but this worker takes none: it exits.")
            self._hearing_since = self._busy_at = now
            self._end()

    def _jobs_wait(self) -> bool:
        try:
            return bool(self._redis.llen(self._queue.list_key))
        except redis.RedisError:
            return False

    def _watch_loop(self, stopping: Callable[[], bool]) -> None:
        # These timers do not advance while the machine or this process is suspended.
        pause, turned = threading.Event(), self._turned
        stalled, stop = self._timer(STALLED_SECONDS), self._timer(self._stop_seconds)
        while stalled.left() and stop.left():
            pause.wait(CHECK_SECONDS)
            if self._turned != turned:
                turned, stalled = self._turned, self._timer(STALLED_SECONDS)
            if not stopping():
                stop = self._timer(self._stop_seconds)
        log.critical("This worker hangs and is killed. Its jobs will be requeued.")
        _end_at_once()

    def _timer(self, seconds: float) -> AwakeTimer:
        return AwakeTimer(seconds, 2 * CHECK_SECONDS, self._clock)


def stop_this_process() -> None:
    """Ask this process to finish its running jobs and exit."""
    os.kill(os.getpid(), signal.SIGTERM)


def kill_this_process(reason: str) -> None:
    """Kill this process because it no longer reacts; its jobs are requeued when their leases end."""
    log.critical("%s This worker is killed.", reason)
    _end_at_once()


def _end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    # Reached only by process 1 of a container: the kernel ignores a SIGKILL that it sends to itself.
    os._exit(128 + signal.SIGKILL)

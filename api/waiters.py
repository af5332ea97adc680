"""Requests that wait for the end of a job: bounded in number, woken by one subscription a process."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from shared.job import Job
from shared.jobs import ENDED_CHANNEL, Jobs

log = logging.getLogger(__name__)

# Should a notice be lost (the subscription was cut), a waiter sees the end this much later.
RECHECK_SECONDS = 1.0


class Waiters:
    """Waits for jobs to end."""

    def __init__(self, client: redis.Redis, jobs: Jobs, max_waiters: int) -> None:
        """`client` decodes its answers; the subscription holds one of its connections."""
        self._client = client
        self._jobs = jobs
        self._places = threading.BoundedSemaphore(max_waiters)
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Subscribe to the ends of jobs, in a thread that survives Redis being away."""
        threading.Thread(target=self._listen, name="ended-jobs", daemon=True).start()

    def close(self) -> None:
        """Release everybody who waits; they answer with what is known now."""
        self._closed.set()
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()

    @contextmanager
    def place(self, wanted: bool) -> Iterator[bool]:
        """Hold one of the bounded places to wait, if one is `wanted`; yields whether the caller may wait."""
        taken = wanted and self._places.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()

    def wait(self, job_id: str, seconds: float) -> Job:
        """Return the job when it has ended, or as it is when `seconds` are over; the caller holds a place.

        Raises:
            UnknownJob, GoneJob: as `Jobs.get`.
        """
        deadline = time.monotonic() + seconds
        event = threading.Event()
        # Listening comes before looking: an end between the two is not missed.
        with self._lock:
            self._waiting[job_id].add(event)
        try:
            while True:
                job = self._jobs.get(job_id)
                remaining = deadline - time.monotonic()
                if job.state.terminal or remaining <= 0 or self._closed.is_set():
                    return job
                event.wait(min(remaining, RECHECK_SECONDS))
                event.clear()
        finally:
            with self._lock:
                self._waiting[job_id].discard(event)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    def _wake(self, job_id: str) -> None:
        with self._lock:
            for event in self._waiting.get(job_id, ()):
                event.set()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow_subscription()
            except redis.RedisError as error:
                log.warning("The subscription to finished jobs was lost: %s", error)
                self._closed.wait(RECHECK_SECONDS)

    def _follow_subscription(self) -> None:
        with self._client.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        ) as subscription:
            subscription.subscribe(ENDED_CHANNEL)
            while not self._closed.is_set():
                message = subscription.get_message(timeout=RECHECK_SECONDS)
                if message is not None:
                    self._wake(str(message["data"]))

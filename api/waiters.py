"""Requests that wait for a job to end: limited in number, woken by one Redis subscription per process.

Each waits in a thread. Under gevent, threads are green: thousands can wait.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import redis

from shared.jobs.models import EndNotice, Job
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import ENDED_CHANNEL
from shared.jobs.store import Jobs

log = logging.getLogger(__name__)

# How often a waiting request checks whether to stop waiting.
LOOK_SECONDS = 2.0
# How often a waiting request reads its job without being woken: the message that wakes it may have been lost.
RECHECK_SECONDS = 15.0
RESUBSCRIBE_SECONDS = 1.0


def never() -> bool:
    """Never stop waiting before the time is over."""
    return False


class State(Protocol):
    """The state of a job or a batch."""

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""


class Ending(Protocol):
    """A job or a batch."""

    @property
    def state(self) -> State:
        """Its state."""


T = TypeVar("T", bound=Ending)


class Waiter:
    """One request that waits for its job or batch to end."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.woken = threading.Event()
        self.ended: EndNotice | None = None
        self._read_again_at = time.monotonic() + RECHECK_SECONDS

    @property
    def must_read(self) -> bool:
        """Whether to read the job again."""
        return self.woken.is_set() or time.monotonic() > self._read_again_at

    def note_read(self, next_seconds: float) -> None:
        """Record that the job is read now, and is to be read again in `next_seconds` or once the waiter is woken."""
        self.woken.clear()
        self._read_again_at = time.monotonic() + next_seconds


class Waiters:
    """Waits for jobs to end."""

    def __init__(self, client: redis.Redis, queue: Queue, jobs: Jobs, max_waiters: int) -> None:
        """`client` decodes replies to `str`; the subscription holds one of its connections."""
        self._client = client
        self._channel = queue.key(ENDED_CHANNEL)
        self._jobs = jobs
        self._pending = threading.BoundedSemaphore(max_waiters)
        self._waiting: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Subscribe to job completions, in a thread that resubscribes after Redis was unreachable."""
        threading.Thread(target=self._listen, name="ended-jobs", daemon=True).start()

    def close(self) -> None:
        """Wake all waiters; they return their jobs in the current state."""
        self._closed.set()
        self._wake_all()

    @contextmanager
    def slot(self, wanted: bool) -> Iterator[bool]:
        """Hold one of the bounded slots to wait, if one is `wanted`; yields whether the caller may wait."""
        taken = wanted and self._pending.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._pending.release()

    @contextmanager
    def listen(self, job_id: str) -> Iterator[Waiter]:
        """Subscribe to a job's completion, also before the job is accepted."""
        waiter = Waiter(job_id)
        with self._lock:
            self._waiting[job_id].add(waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiting[job_id].discard(waiter)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    def wait(self, job_id: str, seconds: float, stops: Callable[[], bool] = never) -> Job:
        """Return the job once it has ended, or in its current state after `seconds`; the caller holds a slot.

        It is also returned within LOOK_SECONDS after `stops` returns true.

        Raises:
            UnknownJob, GoneJob: as `Jobs.get`.
        """
        # Subscribe before reading the job, so that no completion in between is missed.
        with self.listen(job_id) as waiter:
            job = self._jobs.get(job_id)
            return job if job.state.terminal or not seconds else self.wait_for(waiter, seconds, stops)

    def wait_for(self, waiter: Waiter, seconds: float, stops: Callable[[], bool] = never) -> Job:
        """Wait as `wait` does, for a job that had not ended when `waiter` was created."""
        return self.wait_until(
            waiter, seconds, lambda: waiter.ended.job() if waiter.ended else self._jobs.get(waiter.job_id), stops
        )

    def wait_until(self, waiter: Waiter, seconds: float, read: Callable[[], T], stops: Callable[[], bool] = never) -> T:
        """Return what `read` returns once it has ended, or after `seconds`; `waiter` is notified of its end."""
        deadline = time.monotonic() + seconds
        while True:
            over = time.monotonic() >= deadline or self._closed.is_set() or stops()
            if over:
                return read()
            if waiter.must_read and (found := _if_readable(waiter, read)) and found.state.terminal:
                return found
            waiter.woken.wait(min(max(0.0, deadline - time.monotonic()), LOOK_SECONDS))

    def _wake_all(self) -> None:
        """Have every waiter read its job: notices were lost while there was no subscription."""
        with self._lock:
            for waiters in self._waiting.values():
                for waiter in waiters:
                    waiter.woken.set()

    def _wake(self, notice: EndNotice) -> None:
        with self._lock:
            for waiter in self._waiting.get(notice.job_id, ()):
                waiter.ended = notice
                waiter.woken.set()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow_subscription()
            except Exception as error:
                # Not only Redis errors: without this thread, no request would be woken.
                log.warning("The subscription to finished jobs was lost: %s", error)
                self._closed.wait(RESUBSCRIBE_SECONDS)

    def _follow_subscription(self) -> None:
        with self._client.pubsub() as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(self._channel)
            while not self._closed.is_set():
                try:
                    # Without a timeout: redis-py would use `poll` for one, which blocks all green threads.
                    message = subscription.get_message(timeout=None)
                except redis.TimeoutError:
                    # The socket's timeout.
                    continue
                if message is not None and message["type"] == "subscribe":
                    self._wake_all()
                elif message is not None:
                    self._wake(EndNotice.parse(str(message["data"])))


def _if_readable(waiter: Waiter, read: Callable[[], T]) -> T | None:
    """Return what `read` returns, None if Redis does not answer: there is still time to try again."""
    waiter.note_read(next_seconds=RECHECK_SECONDS)
    try:
        return read()
    except redis.RedisError:
        waiter.note_read(next_seconds=LOOK_SECONDS)
        return None

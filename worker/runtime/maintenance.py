"""Maintenance of a worker's main process: heartbeat, stalled jobs, lost children."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import redis
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Celery, bootsteps, signals

from shared.clock import SYSTEM_CLOCK, Clock
from shared.images.store import ImageRefused, ImageStoreAway
from shared.printing import counted
from shared.worker_registry import HEARTBEAT_SECONDS, WorkerRecord, WorkerRegistry
from worker.decoding.errors import DecodeProcessLost
from worker.jobs.progress import ChildProgress, ChildrenProgress, Stage
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.runner import TIME_LIMIT_PROBLEM, TOO_SLOW_PROBLEM
from worker.jobs.sweep import Sweep
from worker.runtime.cpu_time import OWN_SECONDS
from worker.runtime.watchdog import CHECK_SECONDS, Flag, Watchdog

log = logging.getLogger(__name__)

# A later heartbeat means that the event loop was blocked, as it is while it reconnects to Redis.
MOST_BETWEEN_BEATS_SECONDS = 2.5 * HEARTBEAT_SECONDS
# Errors that no job can cause. Other Redis errors may come from a job's record, and would come at every attempt.
REDIS_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
)
# The process that ran the job has died, perhaps of its picture.
DIED = (WorkerLostError, DecodeProcessLost)


@dataclass(frozen=True)
class UnsettledFailure:
    """A failed delivery whose jobs could not be requeued or ended; retried when Redis answers."""

    delivery_tag: str
    error: BaseException
    child: ChildProgress | None
    tries_left: int = 10


class WorkerMaintenance:
    """Heartbeat, repair and failure handling in the main process of one worker."""

    def __init__(
        self,
        record: WorkerRecord,
        warmed: Flag,
        workers: WorkerRegistry,
        reaper: Reaper,
        time_limit_seconds: float,
        progress: ChildrenProgress | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`warmed` is set by the first child that has run its model once; `progress` shows what children run."""
        self._progress = progress
        self._monotonic = clock.monotonic
        self._record = record
        self._warmed = warmed
        self._workers = workers
        self._reaper = reaper
        self._time_limit_seconds = time_limit_seconds
        self._announced = False
        self._pid = os.getpid()
        # Failures that are not settled in Redis yet.
        self._unsettled: list[UnsettledFailure] = []
        self._steady_since = self._monotonic()
        self._last_beat: float | None = None

    def beat(self) -> None:
        """Register the worker as ready, once a child is warm; retry unsettled failures."""
        if not self._warmed.is_set():
            return
        if not self._announced:
            # Before the worker is registered, so that this line comes before those of whoever waits for it.
            self._announced = True
            log.info("worker %s is ready: %s", self._record.name, counted(self._record.children, "worker process"))
        late = self._is_late()
        if not self._guard(partial(self._workers.beat, self._record)) or late:
            self._steady_since = self._monotonic()
        else:
            self._settle_again()
        self._last_beat = self._monotonic()

    def reap(self) -> None:
        """Run one round of the reaper."""
        self._guard(self._reaper.run_once)

    def cancel(self, job_ids: Sequence[str]) -> int | None:
        """Cancel jobs for an operator; return how many were open, None if Redis does not answer."""
        canceled: list[str] = []
        answered = self._guard(lambda: canceled.extend(filter(self._reaper.cancel, job_ids)))
        return len(canceled) if answered else None

    def leave(self) -> None:
        """Remove the worker from the registry."""
        self._guard(partial(self._workers.leave, self._record.name))

    def on_failure(self, delivery_tag: str, error: BaseException) -> None:
        """End or requeue the jobs of a child that died, exceeded its time limit, or failed on a store error.

        The child may have been running a later job than the one that was delivered to it. Jobs that it had claimed but
        not started are requeued, and the attempt does not count.
        """
        child = self._progress.of(delivery_tag) if self._progress else None
        failure = UnsettledFailure(delivery_tag, error, child)
        if self._settle(failure):
            return
        if os.getpid() != self._pid:
            # In a child: exit, so that the main process handles the lost child, and retries while Redis is unreachable.
            log.warning("The end of a job cannot be written to Redis: this child exits.")
            os._exit(1)
        self._unsettled.append(failure)

    def _settle_again(self) -> None:
        # Threads may append to the list during this loop.
        for _ in range(len(self._unsettled)):
            failure = self._unsettled.pop(0)
            if not self._settle(failure) and failure.tries_left:
                self._unsettled.append(replace(failure, tries_left=failure.tries_left - 1))

    def _settle(self, failure: UnsettledFailure) -> bool:
        """End or requeue the jobs of a delivery; False if Redis did not accept all of it."""
        held: dict[str, str] = {}
        if not self._guard(lambda: held.update(self._reaper.held(self._record.name, failure.delivery_tag))):
            return False
        child = failure.child
        settled = True
        for job_id, execution in held.items():
            if child is not None and job_id != child.job_id:
                reason = "it was claimed but not started"
                duty = partial(self._reaper.requeue_uncounted, job_id, execution, reason, publish=True)
            else:
                duty = partial(self._judge, job_id, execution, failure.error, child)
            settled = self._guard(duty) and settled
        return settled

    def _judge(self, job_id: str, execution: str, error: BaseException, child: ChildProgress | None) -> None:
        """End or requeue the job that was being run. The first case that applies decides:

        - The image store is unavailable: requeue, uncounted; the reaper publishes the job again some seconds later.
        - Redis was unavailable, or the job has been run and its outcome was not written: requeue, uncounted.
        - Time limit while decoding, after more than OWN_SECONDS of CPU time: fail; the picture is too expensive.
        - Time limit, and Redis answered all the while: fail. If Redis did not answer, this process may have missed that
          the job has ended.
        - The image store is available but does not give this picture: requeue, counted.
        - Otherwise, such as a child that was killed: requeue, counted.
        """
        stopped = isinstance(error, TimeLimitExceeded)
        if isinstance(error, ImageStoreAway):
            reason = f"the image store says: {error}"
            self._reaper.requeue_uncounted(job_id, execution, reason, publish=False)
        elif isinstance(error, REDIS_AWAY) or (child is not None and child.stage is Stage.ENDING):
            self._reaper.requeue_uncounted(job_id, execution, "its outcome could not be written", publish=True)
        elif stopped and child is not None and child.decode_seconds > OWN_SECONDS:
            self._reaper.fail(job_id, execution, TOO_SLOW_PROBLEM)
        elif stopped and self._steady_seconds() > self._time_limit_seconds:
            self._reaper.fail(job_id, execution, TIME_LIMIT_PROBLEM)
        elif isinstance(error, ImageRefused):
            self._reaper.requeue(job_id, execution, str(error))
        else:
            reason = f"its worker process was lost ({type(error).__name__})"
            self._reaper.requeue(job_id, execution, reason, died=isinstance(error, DIED))

    def _steady_seconds(self) -> float:
        return 0 if self._is_late() else self._monotonic() - self._steady_since

    def _is_late(self) -> bool:
        return self._last_beat is not None and self._monotonic() - self._last_beat > MOST_BETWEEN_BEATS_SECONDS

    def _guard(self, duty: Callable[[], object]) -> bool:
        # Do not end the worker: all duties run again, and the reaper repairs what was missed.
        try:
            duty()
        except (redis.RedisError, OSError) as error:
            log.warning("Redis or the image store does not answer: %s", error)
            return False
        return True


def attach_maintenance(app: Celery, maintenance: WorkerMaintenance, watchdog: Watchdog, sweep: Sweep) -> None:
    """Run maintenance and watchdog in the event loop of `app`'s worker, and connect Celery's signals to them."""

    class Duties(bootsteps.StartStopStep):
        requires = ("celery.worker.components:Timer",)

        def start(self, worker: Any) -> None:
            worker.timer.call_repeatedly(HEARTBEAT_SECONDS, maintenance.beat)
            worker.timer.call_repeatedly(REAP_SECONDS, maintenance.reap)
            worker.timer.call_repeatedly(REAP_SECONDS, sweep.run_if_due)
            worker.timer.call_repeatedly(CHECK_SECONDS, watchdog.check)
            watchdog.start(stopping=lambda: worker.blueprint.state != bootsteps.RUN)  # type: ignore[attr-defined]

        def stop(self, worker: Any) -> None:
            maintenance.leave()
            sweep.close()

    app.steps["worker"].add(Duties)

    @signals.task_received.connect(weak=False)
    def on_received(**_: Any) -> None:
        watchdog.taken()

    @signals.task_failure.connect(weak=False)
    def on_failure(args: Sequence[Any], exception: BaseException, **_: Any) -> None:
        _job_id, _format_version, delivery_tag = args
        maintenance.on_failure(delivery_tag, exception)

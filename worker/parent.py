"""What the parent of the worker's children does beside feeding them: heartbeat, repair, lost children."""

import logging
import time
from typing import Any

import redis
from billiard.exceptions import TimeLimitExceeded
from celery import Celery, bootsteps, signals

from shared.image_store import ImageRefused, ImageStoreAway
from shared.workers import HEARTBEAT_SECONDS, WorkerRecord, Workers
from worker.cpu_time import OWN_SECONDS
from worker.decoding import Decoding
from worker.job_runner import TOO_SLOW_PROBLEM
from worker.repair import REPAIR_SECONDS, Repair
from worker.sweep import Sweep
from worker.watchdog import CHECK_SECONDS, Flag, Watchdog

log = logging.getLogger(__name__)

# Beats that come later than this tell of a loop that stood still, as it does while it connects to Redis anew.
MOST_BETWEEN_BEATS_SECONDS = 2.5 * HEARTBEAT_SECONDS
TIME_LIMIT_PROBLEM = {"status": 500, "title": "Time limit", "detail": "The job ran longer than one job may."}


class Parent:
    """The duties of one worker's parent process."""

    def __init__(
        self,
        record: WorkerRecord,
        warmed: Flag,
        workers: Workers,
        repair: Repair,
        time_limit_seconds: float,
        decoding: Decoding | None = None,
    ) -> None:
        """`warmed` is set by the first child that has run its model once; `decoding` is what children decode."""
        self._decoding = decoding
        self._record = record
        self._warmed = warmed
        self._workers = workers
        self._repair = repair
        self._time_limit_seconds = time_limit_seconds
        self._announced = False
        self._steady_since = time.monotonic()
        self._last_beat: float | None = None

    def beat(self) -> None:
        """Tell that this worker is ready, once a child is."""
        if not self._warmed.is_set():
            return
        late = self._is_late()
        if not self._guard(self._workers.beat, self._record) or late:
            self._steady_since = time.monotonic()
        self._last_beat = time.monotonic()
        if not self._announced:
            self._announced = True
            log.info("worker %s is ready: %d children", self._record.name, self._record.children)

    def repair(self) -> None:
        """Publish again what was left behind anywhere."""
        self._guard(self._repair.run_once)

    def leave(self) -> None:
        """Tell that this worker no longer serves."""
        self._guard(self._workers.leave, self._record.name)

    def on_failure(self, delivered_id: str, error: BaseException) -> None:
        """End or hand back the job of a child that died, was stopped at its time limit, or lost Redis.

        `delivered_id` is the job with which the child's shift began; it may be at another one by now.

        A child that is stopped while it decodes, and has done so for long, has an expensive picture. Elsewhere a time
        limit counts against the job only if Redis answered all the while: else the child may have been waiting for it,
        or this loop may not have heard of the end. While the image store is away the job waits, and its attempt does
        not count.
        """
        own_fault = isinstance(error, TimeLimitExceeded) and self._steady_seconds() > self._time_limit_seconds
        if isinstance(error, TimeLimitExceeded) and self._decoded_for_long(delivered_id):
            self._guard(self._repair.give_up, self._record.name, delivered_id, TOO_SLOW_PROBLEM)
        elif own_fault:
            self._guard(self._repair.give_up, self._record.name, delivered_id, TIME_LIMIT_PROBLEM)
        elif isinstance(error, ImageStoreAway):
            self._guard(self._repair.postpone, self._record.name, delivered_id, f"the image store says: {error}")
        elif isinstance(error, ImageRefused):
            self._guard(self._repair.hand_back, self._record.name, delivered_id, str(error))
        else:
            reason = f"its worker process was lost ({type(error).__name__})"
            self._guard(self._repair.hand_back, self._record.name, delivered_id, reason)

    def _decoded_for_long(self, delivered_id: str) -> bool:
        return self._decoding is not None and self._decoding.seconds(delivered_id) > OWN_SECONDS

    def _steady_seconds(self) -> float:
        return 0 if self._is_late() else time.monotonic() - self._steady_since

    def _is_late(self) -> bool:
        return self._last_beat is not None and time.monotonic() - self._last_beat > MOST_BETWEEN_BEATS_SECONDS

    def _guard(self, duty: Any, *arguments: Any) -> bool:
        # The duties come round again, and what is missed here the repair finds: never end the worker for it.
        try:
            duty(*arguments)
        except (redis.RedisError, OSError) as error:
            log.warning("A store does not answer: %s", error)
            return False
        return True


def attach_parent(app: Celery, parent: Parent, watchdog: Watchdog, sweep: Sweep) -> None:
    """Give the parent its turns in the event loop of `app`'s worker, and the failures of its children."""

    class Duties(bootsteps.StartStopStep):
        requires = ("celery.worker.components:Timer",)

        def start(self, worker: Any) -> None:
            worker.timer.call_repeatedly(HEARTBEAT_SECONDS, parent.beat)
            worker.timer.call_repeatedly(REPAIR_SECONDS, parent.repair)
            worker.timer.call_repeatedly(REPAIR_SECONDS, sweep.run_if_due)
            worker.timer.call_repeatedly(CHECK_SECONDS, watchdog.check)
            watchdog.start(stopping=lambda: worker.blueprint.state != bootsteps.RUN)  # type: ignore[attr-defined]

        def stop(self, worker: Any) -> None:
            parent.leave()
            sweep.close()

    app.steps["worker"].add(Duties)

    @signals.task_received.connect(weak=False)
    def on_received(**_: Any) -> None:
        watchdog.taken()

    @signals.task_failure.connect(weak=False)
    def on_failure(task_id: str, exception: BaseException, **_: Any) -> None:
        parent.on_failure(task_id, exception)

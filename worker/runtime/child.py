"""A prefork child: loads the model after the fork and runs jobs one at a time."""

import logging
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

from celery import signals

from worker.jobs.consumer import JobConsumer
from worker.jobs.progress import SharedProgress

log = logging.getLogger(__name__)


class Child:
    """Holds the model that exists in the child only; the parent never loads a model."""

    def __init__(self, make_consumer: Callable[[], JobConsumer], progress: SharedProgress, warmed: Event) -> None:
        """`make_consumer` loads and warms the model; `progress` and `warmed` tell the parent what it is at."""
        self._progress = progress
        self._make_consumer = make_consumer
        self._warmed = warmed
        self._consumer: JobConsumer | None = None
        self._parent_pid = os.getpid()

    def attach(self) -> None:
        """Have Celery start every forked child with `start`."""
        signals.worker_process_init.connect(self.start, weak=False)

    def start(self, **_: Any) -> None:
        """Load the model, open the stores; if that fails, end the whole worker instead of forking for ever."""
        try:
            self._consumer = self._make_consumer()
        except Exception as error:
            log.critical("This worker cannot start: %s", error)
            # If the parent has died meanwhile, another process is there in its place: it is no business of this one.
            if os.getppid() == self._parent_pid:
                os.kill(self._parent_pid, signal.SIGTERM)
            os._exit(1)
        self._warmed.set()

    def run(self, task_id: str) -> None:
        """Run the job that was delivered, and what its consumer brings; Celery calls it after `start`."""
        assert self._consumer is not None
        self._progress.begin(task_id)
        self._consumer.run(task_id)

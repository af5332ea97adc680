"""A prefork child: loads the model after the fork and runs jobs one at a time."""

import logging
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

from celery import signals

from worker.job_runner import JobRunner

log = logging.getLogger(__name__)


class Child:
    """Holds the runner that exists in the child only; the parent never loads a model."""

    def __init__(self, make_runner: Callable[[], JobRunner], warmed: Event) -> None:
        """`make_runner` loads and warms the model; `warmed` tells the parent that it is done."""
        self._make_runner = make_runner
        self._warmed = warmed
        self._runner: JobRunner | None = None

    def attach(self) -> None:
        """Have Celery start every forked child with `start`."""
        signals.worker_process_init.connect(self.start, weak=False)

    def start(self, **_: Any) -> None:
        """Load the model; if that fails, end the whole worker with the reason instead of forking for ever."""
        try:
            self._runner = self._make_runner()
        except Exception as error:
            log.critical("The model cannot be loaded: %s", error)
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(1)
        self._warmed.set()

    def run(self, job_id: str) -> None:
        """Run one job; Celery calls it after `start`."""
        assert self._runner is not None
        self._runner.run(job_id)

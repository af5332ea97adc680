"""A prefork child: loads the model after the fork and runs jobs one at a time."""

import logging
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

from celery import signals

from shared.images.inspect import set_up_pillow
from worker.decoding.limits import limit_memory
from worker.jobs.consumer import JobConsumer
from worker.jobs.progress import SharedProgress
from worker.jobs.runner import PictureClassifier
from worker.services import Services

log = logging.getLogger(__name__)

# Gets the progress of the child, which a classifier enters while it decodes a picture.
LoadClassifier = Callable[[SharedProgress], PictureClassifier]


class Child:
    """Holds the model and the connections, which exist in the child only: neither may cross a fork."""

    def __init__(
        self, services: Services, load_classifier: LoadClassifier, progress: SharedProgress, warmed: Event
    ) -> None:
        """`warmed` is set when the model is loaded and warm; `progress` tells the parent what the child does."""
        self._services = services
        self._load_classifier = load_classifier
        self._progress = progress
        self._warmed = warmed
        self._loaded: tuple[JobConsumer, PictureClassifier] | None = None
        self._parent_pid = os.getpid()

    def attach(self) -> None:
        """Have Celery start every forked child with `start`."""
        signals.worker_process_init.connect(self.start, weak=False)

    def start(self, **_: Any) -> None:
        """Load the model, open the stores; if that fails, end the whole worker instead of forking for ever."""
        try:
            self._loaded = self._load()
        except Exception as error:
            log.critical("This worker cannot start: %s", error)
            # If the parent has died meanwhile, another process is there in its place: it is no business of this one.
            if os.getppid() == self._parent_pid:
                os.kill(self._parent_pid, signal.SIGTERM)
            os._exit(1)
        self._warmed.set()

    def run(self, task_id: str) -> None:
        """Run the job that was delivered, and those that its consumer claims; Celery calls it after `start`."""
        assert self._loaded is not None
        consumer, classifier = self._loaded
        self._progress.begin(task_id)
        consumer.run(task_id, classifier)

    def _load(self) -> tuple[JobConsumer, PictureClassifier]:
        settings = self._services.settings
        set_up_pillow()
        classifier = self._load_classifier(self._progress)
        consumer = self._services.connect_consumer(self._progress, settings.consume_seconds)
        limit_memory(settings.job_memory_bytes)
        return consumer, classifier

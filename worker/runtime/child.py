"""A prefork child: loads the model after the fork and runs jobs one at a time."""

import logging
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

from celery import signals

from shared.images.inspect import set_up_pillow
from shared.malloc import keep_freed_blocks
from worker.decoding.limits import limit_memory
from worker.jobs.consumer import JobConsumer
from worker.jobs.progress import SharedProgress
from worker.jobs.runner import PictureClassifier
from worker.services import Services

log = logging.getLogger(__name__)

# The argument is the child's progress; the classifier enters it (`with`) while it decodes a picture.
LoadClassifier = Callable[[SharedProgress], PictureClassifier]


class Child:
    """The model and the connections of a child; both are created after the fork, because neither survives one."""

    def __init__(
        self, services: Services, load_classifier: LoadClassifier, progress: SharedProgress, warmed: Event
    ) -> None:
        """`warmed` is set when the model is loaded and warm; `progress` shows the parent what the child is running."""
        self._services = services
        self._load_classifier = load_classifier
        self._progress = progress
        self._warmed = warmed
        self._loaded: tuple[JobConsumer, PictureClassifier] | None = None
        self._parent_pid = os.getpid()

    def attach(self) -> None:
        """Have Celery call `start` in every forked child, and `end` in every child that ends by itself."""
        signals.worker_process_init.connect(self.start, weak=False)
        signals.worker_process_shutdown.connect(self.end, weak=False)

    def start(self, **_: Any) -> None:
        """Load the model and open the stores; if that fails, end the whole worker: it would fork children forever."""
        try:
            self._loaded = self._load()
        except Exception as error:
            log.critical("This worker cannot start: %s", error)
            # If the parent has died, getppid() is another process: do not signal it.
            if os.getppid() == self._parent_pid:
                os.kill(self._parent_pid, signal.SIGTERM)
            os._exit(1)
        self._warmed.set()

    def end(self, **_: Any) -> None:
        """Send the spans that were recorded last."""
        self._services.tracing.close()

    def run(self, job_id: str, delivery_tag: str) -> None:
        """Run the delivered job and the jobs that its consumer claims; Celery calls this after `start`."""
        assert self._loaded is not None
        consumer, classifier = self._loaded
        self._progress.begin(delivery_tag)
        consumer.run(job_id, delivery_tag, classifier)

    def _load(self) -> tuple[JobConsumer, PictureClassifier]:
        settings = self._services.settings
        keep_freed_blocks()
        set_up_pillow()
        classifier = self._load_classifier(self._progress)
        consumer = self._services.connect_consumer(self._progress, settings.consume_seconds)
        limit_memory(settings.job_memory_bytes)
        return consumer, classifier

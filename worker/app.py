"""Creates the Celery worker; each of its children runs one job at a time."""

import logging
import multiprocessing
import warnings
from dataclasses import dataclass
from typing import Any, Literal

from celery import signals
from celery.exceptions import SecurityWarning

from worker.jobs.progress import SharedProgress
from worker.runtime.celery_app import create_celery
from worker.runtime.child import Child, LoadClassifier
from worker.runtime.control import register_commands
from worker.runtime.maintenance import attach_maintenance
from worker.runtime.message_filter import attach_filter
from worker.runtime.quiet_worker import QuietWorker
from worker.runtime.tasks import RunTask, register_tasks
from worker.runtime.watchdog import Flag
from worker.services import Services

log = logging.getLogger(__name__)

# A child may need longer than Celery's four seconds to load a large model on a busy machine.
CHILD_START_SECONDS = 120


@dataclass(frozen=True)
class Pool:
    """Celery's pool: kind, size, function to run for each task, and the progress of its children."""

    kind: Literal["prefork", "threads"]
    size: int
    run_task: RunTask
    progress: SharedProgress | None = None


def create_worker(services: Services, load_classifier: LoadClassifier) -> Any:
    """Return the Celery worker whose children classify; its `start()` blocks until it is stopped.

    `load_classifier` is called in each child after the fork; the classifier that it returns has run its model once.
    """
    warmed = multiprocessing.get_context("fork").Event()
    progress = SharedProgress(services.settings.workers)
    child = Child(services, load_classifier, progress, warmed)
    child.attach()
    return assemble_worker(services, Pool("prefork", services.settings.workers, child.run, progress), warmed)


def assemble_worker(services: Services, pool: Pool, warmed: Flag) -> Any:
    """Return a Celery worker with maintenance and watchdog, ready once `warmed` is set."""
    app = create_celery(services.settings)
    app.conf.worker_proc_alive_timeout = CHILD_START_SECONDS
    # If this signal has a receiver, Celery does not configure logging itself.
    signals.setup_logging.connect(_keep_logging, weak=False)
    # It warns of root at every start; the images use another user (docs/security.md).
    warnings.simplefilter("default" if log.isEnabledFor(logging.DEBUG) else "ignore", SecurityWarning)
    register_tasks(app, pool.run_task, services.task_limit_seconds, services.soft_limit_seconds)
    # Several threads may requeue jobs while the event loop sends the heartbeat.
    connections = 1 if pool.kind == "prefork" else pool.size + 1
    main = services.connect_main(warmed, connections, pool.progress)

    def take_in(message: bytes) -> str | None:
        # A worker that takes only messages of other programs is still working.
        main.watchdog.taken()
        return main.foreign.take_in(message)

    attach_filter(app, take_in)
    signals.worker_shutdown.connect(lambda **_: services.tracing.close(), weak=False)
    attach_maintenance(app, main.maintenance, main.watchdog, main.sweep)
    register_commands(main.maintenance.cancel)
    return QuietWorker(
        app,
        hostname=f"worker@{services.record.name}",
        pool_cls=pool.kind,
        concurrency=pool.size,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )


def _keep_logging(**_: Any) -> None:
    """Leave logging as it is."""

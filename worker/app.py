"""Wires a worker: settings in, a Celery worker ready to start out."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

import redis
from celery import signals

from shared.image_store import open_image_store
from shared.job_limits import limits_of
from shared.jobs import Jobs
from shared.pictures import set_up_pillow
from shared.redis_client import connect
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.workers import WorkerRecord, Workers
from worker.celery_app import create_celery
from worker.child import Child
from worker.decode import PREPROCESSING_VERSION
from worker.job_runner import JobRunner, PictureClassifier
from worker.memory_limit import limit_memory
from worker.parent import Parent, attach_parent
from worker.repair import Repair
from worker.tasks import register_tasks
from worker.turn import TURN_SECONDS, Turn
from worker.watchdog import Watchdog, stop_this_process

# A child may need longer than Celery's four seconds to load a large model on a busy machine.
CHILD_START_SECONDS = 120
# A job runs at most its turn and its time limit; a lease this much longer is over only when its worker is gone.
LEASE_MARGIN_SECONDS = 1


class Model(Protocol):
    """What is told of a worker's model."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def digest(self) -> str:
        """The digest of its files."""


def create_worker(settings: Settings, model: Model, load_classifier: Callable[[], PictureClassifier]) -> Any:
    """Return the Celery worker that answers with `model`; its `start()` blocks until it is told to stop.

    `load_classifier` is called in each child, after the fork; what it returns has been run once.
    """
    name = f"{socket.gethostname()}-{os.getpid()}"
    app = create_celery(settings)
    app.conf.worker_proc_alive_timeout = CHILD_START_SECONDS
    # Any receiver keeps Celery from setting up logging its own way.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    warmed = multiprocessing.get_context("fork").Event()
    answers = f"{settings.engine}-{PREPROCESSING_VERSION}:{model.digest}"
    record = WorkerRecord(name, settings.engine, model.name, model.digest, answers, settings.workers)
    child = Child(lambda: _make_turn(settings, load_classifier, record), warmed)
    child.attach()
    register_tasks(app, child.run, settings.job_time_limit_seconds + TURN_SECONDS)
    client = connect(settings.redis_url, max_connections=1)
    watchdog = Watchdog(client, warmed, settings.job_time_limit_seconds, stop_this_process)
    repair = _make_repair(settings, client)
    parent = Parent(record, warmed, Workers(client), repair, settings.job_time_limit_seconds + TURN_SECONDS)
    attach_parent(app, parent, watchdog)
    return app.Worker(
        hostname=f"worker@{name}",
        pool_cls="prefork",
        concurrency=settings.workers,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _make_repair(settings: Settings, client: redis.Redis) -> Repair:
    images = open_image_store(settings.image_store_url)
    return Repair(client, Jobs(client, limits_of(settings)), images)


def _make_turn(settings: Settings, load_classifier: Callable[[], PictureClassifier], record: WorkerRecord) -> Turn:
    """Load the model and connect; runs in the child, since neither may cross a fork."""
    set_up_pillow()
    classifier = load_classifier()
    client = connect(settings.redis_url, max_connections=1, patient=True)
    jobs = Jobs(client, limits_of(settings))
    cache = ResultCache(client, settings.result_cache_ttl_seconds)
    images = open_image_store(settings.image_store_url)
    limit_memory(settings.job_memory_bytes)
    lease_seconds = settings.job_time_limit_seconds + TURN_SECONDS + LEASE_MARGIN_SECONDS
    return Turn(jobs, JobRunner(jobs, images, cache, classifier, record, lease_seconds))

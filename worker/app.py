"""Wires a worker: settings in, a Celery worker ready to start out."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import redis
from celery import Celery, signals

from shared.image_store import open_image_store
from shared.job_limits import limits_of
from shared.jobs import Jobs
from shared.pictures import set_up_pillow
from shared.queue import JobQueue, create_celery
from shared.redis_client import connect
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.workers import WorkerRecord, Workers
from worker.child import Child
from worker.decode import PREPROCESSING_VERSION
from worker.job_runner import JobRunner, PictureClassifier
from worker.memory_limit import limit_memory
from worker.parent import Parent, attach_parent
from worker.repair import Repair
from worker.tasks import register_tasks
from worker.watchdog import Flag, Watchdog, stop_this_process

# A child may need longer than Celery's four seconds to load a large model on a busy machine.
CHILD_START_SECONDS = 120
# A job runs at most its time limit; a lease this much longer is over only when its worker is gone.
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
    warmed = multiprocessing.get_context("fork").Event()
    record = record_of(settings, model)
    child = Child(lambda: _make_runner(settings, load_classifier, record), warmed)
    child.attach()
    return assemble_worker(settings, record, Pool("prefork", settings.workers, child.run), warmed)


@dataclass(frozen=True)
class Pool:
    """Which of Celery's pools runs the jobs, how many at once, and what it runs for each."""

    kind: Literal["prefork", "threads"]
    size: int
    run_job: Callable[[str], None]


def record_of(settings: Settings, model: Model) -> WorkerRecord:
    """Return what this process tells of itself as a worker with `model`."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    answers = f"{settings.engine}-{PREPROCESSING_VERSION}:{model.digest}"
    return WorkerRecord(name, settings.engine, model.name, model.digest, answers, settings.workers)


def assemble_worker(settings: Settings, record: WorkerRecord, pool: Pool, warmed: Flag) -> Any:
    """Return a Celery worker with heartbeat, repair and watchdog, ready once `warmed` is set."""
    app = create_celery(settings)
    app.conf.update(
        worker_prefetch_multiplier=1,
        # For ever: a worker that gave up would only be started again.
        broker_connection_max_retries=None,
        worker_proc_alive_timeout=CHILD_START_SECONDS,
        worker_enable_remote_control=False,
        # Without late acknowledgement nothing is cancelled; set because Celery warns of it at every reconnect else.
        worker_cancel_long_running_tasks_on_connection_loss=True,
    )
    # Any receiver keeps Celery from setting up logging its own way.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    register_tasks(app, pool.run_job, settings.job_time_limit_seconds)
    # With threads, several may hand back jobs while the event loop beats.
    client = connect(settings.redis_url, max_connections=1 if pool.kind == "prefork" else 4, decode=True)
    watchdog = Watchdog(client, warmed, settings.job_time_limit_seconds, stop_this_process)
    repair = _make_repair(settings, app, client)
    parent = Parent(record, warmed, Workers(client), repair, settings.job_time_limit_seconds)
    attach_parent(app, parent, watchdog)
    return app.Worker(
        hostname=f"worker@{record.name}",
        pool_cls=pool.kind,
        concurrency=pool.size,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _make_repair(settings: Settings, app: Celery, client: redis.Redis) -> Repair:
    images = open_image_store(settings.image_store_url, connect(settings.redis_url, max_connections=1, decode=False))
    return Repair(client, Jobs(client, limits_of(settings)), JobQueue(app), images)


def _make_runner(
    settings: Settings, load_classifier: Callable[[], PictureClassifier], record: WorkerRecord
) -> JobRunner:
    """Load the model and connect; runs in the child, since neither may cross a fork."""
    set_up_pillow()
    classifier = load_classifier()
    make_runner = connect_runners(settings, record, max_connections=1)
    limit_memory(settings.job_memory_bytes)
    return make_runner(classifier)


def connect_runners(
    settings: Settings, record: WorkerRecord, max_connections: int
) -> Callable[[PictureClassifier], JobRunner]:
    """Return what makes runners of jobs; those it makes share the stores, over so many connections to each."""
    client = connect(settings.redis_url, max_connections=max_connections, decode=True, patient=True)
    jobs = Jobs(client, limits_of(settings))
    cache = ResultCache(client, settings.result_cache_ttl_seconds)
    images = open_image_store(
        settings.image_store_url,
        connect(settings.redis_url, max_connections=max_connections, decode=False, patient=True),
    )
    lease_seconds = settings.job_time_limit_seconds + LEASE_MARGIN_SECONDS
    return lambda classifier: JobRunner(jobs, images, cache, classifier, record, lease_seconds)

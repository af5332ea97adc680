"""Wires a worker: settings in, a Celery worker ready to start out."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import redis
from celery import signals

from shared.images.history import StoreHistory
from shared.images.inspect import set_up_pillow
from shared.images.store import ImageStore, RemoverOfProcess, open_image_store
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.worker_registry import WorkerRecord, WorkerRegistry
from worker.decoding.decode import PREPROCESSING_VERSION
from worker.decoding.limits import limit_memory
from worker.jobs.consumer import CONSUME_SECONDS, JobConsumer
from worker.jobs.foreign import ForeignMessages
from worker.jobs.progress import JobProgress, SharedProgress
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.runner import JobRunner, PictureClassifier
from worker.jobs.stalled import StalledJobs
from worker.jobs.sweep import Sweep
from worker.jobs.turns import Turns
from worker.metrics import WorkerMetrics
from worker.runtime.celery_app import create_celery
from worker.runtime.child import Child
from worker.runtime.maintenance import WorkerMaintenance, attach_maintenance
from worker.runtime.tasks import register_tasks
from worker.runtime.watchdog import Flag, Watchdog, stop_this_process

# A child may need longer than Celery's four seconds to load a large model on a busy machine.
CHILD_START_SECONDS = 120
# A job runs at most its consumer and its time limit; a lease this much longer is over only when its worker is gone.
LEASE_MARGIN_SECONDS = 1


class Model(Protocol):
    """What is told of a worker's model."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def digest(self) -> str:
        """The digest of its files."""


def create_worker(
    settings: Settings,
    model: Model,
    load_classifier: Callable[[SharedProgress], PictureClassifier],
    metrics: WorkerMetrics,
) -> Any:
    """Return the Celery worker that answers with `model`; its `start()` blocks until it is told to stop.

    `load_classifier` is called in each child, after the fork, with what is told of its decoding; what it returns has
    been run once.
    """
    warmed = multiprocessing.get_context("fork").Event()
    record = record_of(settings, model)
    progress = SharedProgress(settings.workers)

    def make_consumer() -> JobConsumer:
        return _make_consumer(settings, load_classifier, record, metrics, progress)

    child = Child(make_consumer, progress, warmed)
    child.attach()
    return assemble_worker(settings, record, Pool("prefork", settings.workers, child.run, progress), warmed, metrics)


@dataclass(frozen=True)
class Pool:
    """Which of Celery's pools runs the jobs, how many at once, what it runs for each task, and what children are at."""

    kind: Literal["prefork", "threads"]
    size: int
    run_job: Callable[[str], None]
    progress: SharedProgress | None = None


def record_of(settings: Settings, model: Model) -> WorkerRecord:
    """Return what this process tells of itself as a worker with `model`."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    answers = f"{settings.engine}-{PREPROCESSING_VERSION}:{model.digest}"
    return WorkerRecord(name, settings.engine, model.name, model.digest, answers, settings.workers)


def assemble_worker(settings: Settings, record: WorkerRecord, pool: Pool, warmed: Flag, metrics: WorkerMetrics) -> Any:
    """Return a Celery worker with heartbeat, repair and watchdog, ready once `warmed` is set."""
    app = create_celery(settings)
    app.conf.worker_proc_alive_timeout = CHILD_START_SECONDS
    # Any receiver keeps Celery from setting up logging its own way.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    limit_seconds = settings.job_time_limit_seconds + CONSUME_SECONDS
    register_tasks(app, pool.run_job, limit_seconds)
    # With threads, several may requeue jobs while the event loop beats.
    client = connect(settings.redis_url, max_connections=1 if pool.kind == "prefork" else pool.size + 1)
    queue = Queue(settings.redis_prefix)
    watchdog = Watchdog(client, queue, warmed, limit_seconds, stop_this_process)
    reaper = _make_reaper(settings, client, queue, metrics)
    maintenance = WorkerMaintenance(record, warmed, WorkerRegistry(client, queue), reaper, limit_seconds, pool.progress)
    sweep = Sweep(client, queue, settings.image_store_url)
    foreign = ForeignMessages(client, queue, metrics)

    def take_in(message: bytes) -> str | None:
        # A worker that only moves other programs' messages aside is not deaf.
        watchdog.taken()
        return foreign.take_in(message)

    app.conf.broker_transport_options["take_in"] = take_in
    attach_maintenance(app, maintenance, watchdog, sweep)
    return app.Worker(
        hostname=f"worker@{record.name}",
        pool_cls=pool.kind,
        concurrency=pool.size,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _open_images(settings: Settings, client: redis.Redis, queue: Queue) -> ImageStore:
    # As long as a job has before its soft time limit, which would hide why the store took the time.
    patience_seconds = settings.job_time_limit_seconds - 1
    return open_image_store(settings.image_store_url, StoreHistory(client, queue), patience_seconds)


def _make_reaper(settings: Settings, client: redis.Redis, queue: Queue, metrics: WorkerMetrics) -> Reaper:
    jobs = Jobs(client, queue, limits_of(settings), metrics)
    images = RemoverOfProcess(lambda: _open_images(settings, client, queue))
    turns = Turns(client, queue, REAP_SECONDS)
    return Reaper(turns, jobs, StalledJobs(client, queue), images, metrics)


def _make_consumer(
    settings: Settings,
    load_classifier: Callable[[SharedProgress], PictureClassifier],
    record: WorkerRecord,
    metrics: WorkerMetrics,
    progress: SharedProgress,
) -> JobConsumer:
    """Load the model and connect; runs in the child, since neither may cross a fork."""
    set_up_pillow()
    classifier = load_classifier(progress)
    make_consumer = connect_consumers(settings, record, metrics, max_connections=1, progress=progress)
    limit_memory(settings.job_memory_bytes)
    return make_consumer(classifier)


def connect_consumers(
    settings: Settings,
    record: WorkerRecord,
    metrics: WorkerMetrics,
    max_connections: int,
    progress: JobProgress,
) -> Callable[[PictureClassifier], JobConsumer]:
    """Return what makes consumers; those it makes share the stores, over so many connections to Redis."""
    client = connect(settings.redis_url, max_connections=max_connections, patient=True)
    queue = Queue(settings.redis_prefix)
    jobs = Jobs(client, queue, limits_of(settings), metrics)
    cache = ResultCache(client, queue, settings.result_cache_ttl_seconds)
    foreign = ForeignMessages(client, queue, metrics)
    images = _open_images(settings, client, queue)
    lease_seconds = settings.job_time_limit_seconds + CONSUME_SECONDS + LEASE_MARGIN_SECONDS

    def make_consumer(classifier: PictureClassifier) -> JobConsumer:
        runner = JobRunner(images, cache, classifier, record)
        return JobConsumer(jobs, images, runner, record, lease_seconds, metrics, foreign, progress)

    return make_consumer

"""Wiring of a worker: creates the parts of its main process and of the processes that run jobs from the settings."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import redis

from shared.images.history import StoreHistory
from shared.images.store import ImageStore, RemoverOfProcess, is_in_redis, open_image_store
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.tracing import NO_TRACING, Tracing, open_tracing
from shared.worker_registry import WorkerRecord, WorkerRegistry
from worker.decoding.decode import PREPROCESSING_VERSION
from worker.jobs.consumer import ConsumerTerms, JobConsumer
from worker.jobs.foreign import ForeignMessages
from worker.jobs.progress import ChildrenProgress, JobProgress
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.runner import JobRunner
from worker.jobs.stalled import StalledJobs
from worker.jobs.sweep import Sweep
from worker.jobs.turns import Turns
from worker.metrics import WorkerMetrics
from worker.runtime.maintenance import WorkerMaintenance
from worker.runtime.watchdog import Flag, Watchdog, stop_this_process
from worker.stage_times import StageTimes

# A lease is this much longer than the longest task (`consume_seconds` plus the time limit of one job), so that it ends
# only if the worker is gone.
LEASE_MARGIN_SECONDS = 1
# The soft time limit of a task is this much shorter than the hard one.
SOFT_LIMIT_MARGIN_SECONDS = 2


class Model(Protocol):
    """The name, the labels and the digest of a worker's model."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def labels(self) -> Sequence[str]:
        """The labels that it knows."""

    @property
    def digest(self) -> str:
        """Digest of its files."""


@dataclass(frozen=True)
class MainParts:
    """The parts of a worker's main process; they share one Redis client."""

    maintenance: WorkerMaintenance
    watchdog: Watchdog
    sweep: Sweep
    foreign: ForeignMessages


class Services:
    """Creates the parts of one worker. Every call opens its own connections, because none may be used across a fork."""

    def __init__(
        self, settings: Settings, record: WorkerRecord, metrics: WorkerMetrics, tracing: Tracing = NO_TRACING
    ) -> None:
        self.settings = settings
        self.record = record
        self.metrics = metrics
        self.tracing = tracing
        self.times = StageTimes(metrics, tracing)
        self.queue = Queue(settings.redis_prefix)

    @classmethod
    def from_settings(cls, settings: Settings, model: Model, metrics: WorkerMetrics) -> "Services":
        """Return the services of this process as a worker with `model`; nothing is connected yet.

        Raises SettingsError: traces are on, and OpenTelemetry is not installed.
        """
        name = f"{socket.gethostname()}-{os.getpid()}"
        result_version = f"{settings.engine}-{PREPROCESSING_VERSION}:{model.digest}"
        record = WorkerRecord(
            name=name,
            engine=settings.engine,
            model=model.name,
            digest=model.digest,
            result_version=result_version,
            children=settings.workers,
            labels=len(model.labels),
        )
        return cls(settings, record, metrics, open_tracing(settings, "topthree-worker"))

    @property
    def task_limit_seconds(self) -> int:
        """The hard time limit of a Celery task: `consume_seconds` plus the time limit of its last job."""
        return self.settings.job_time_limit_seconds + self.settings.consume_seconds

    @property
    def soft_limit_seconds(self) -> int:
        """The soft time limit of a Celery task."""
        return max(1, self.task_limit_seconds - SOFT_LIMIT_MARGIN_SECONDS)

    def connect_main(self, warmed: Flag, connections: int, progress: ChildrenProgress | None) -> MainParts:
        """Return the parts of the main process, with at most `connections` connections to Redis.

        Raises SettingsError: IMAGE_STORE_URL cannot be used.
        """
        client = connect(self.settings.redis_url, max_connections=connections)
        limit_seconds, queue = self.task_limit_seconds, self.queue
        registry, reaper = WorkerRegistry(client, queue), self._reaper(client)
        return MainParts(
            WorkerMaintenance(self.record, warmed, registry, reaper, limit_seconds, progress),
            Watchdog(client, queue, warmed, limit_seconds, stop_this_process),
            Sweep(client, queue, self.settings.image_store_url),
            ForeignMessages(client, queue, self.metrics),
        )

    def connect_consumer(self, progress: JobProgress, consume_seconds: int, connections: int = 1) -> JobConsumer:
        """Return a consumer for as many threads as it has connections to Redis.

        Raises SettingsError: IMAGE_STORE_URL cannot be used.
        """
        client = connect(self.settings.redis_url, max_connections=connections, patient=True)
        cache = ResultCache(client, self.queue, self.settings.result_cache_ttl_seconds)
        images = self._open_images(client)
        runner = JobRunner(images, cache, self.record.result_version, self.metrics, progress)
        terms = ConsumerTerms(self.record.name, self.task_limit_seconds + LEASE_MARGIN_SECONDS, consume_seconds)
        foreign = ForeignMessages(client, self.queue, self.metrics)
        return JobConsumer(self._jobs(client), runner, foreign, terms, self.tracing)

    def _reaper(self, client: redis.Redis) -> Reaper:
        turns = Turns(client, self.queue, REAP_SECONDS)
        images = RemoverOfProcess(lambda: self._open_images(client))
        return Reaper(turns, self._jobs(client), StalledJobs(client, self.queue), images, self.metrics, self.tracing)

    def _jobs(self, client: redis.Redis) -> Jobs:
        return Jobs(
            client,
            self.queue,
            limits_of(self.settings),
            self.metrics,
            min_replicas=self.settings.redis_min_replicas,
            confirm_ends=not is_in_redis(self.settings.image_store_url),
        )

    def _open_images(self, client: redis.Redis) -> ImageStore:
        # Not longer than the soft time limit, which would hide the reason for the delay.
        patience_seconds = min(self.settings.job_time_limit_seconds - 1, self.soft_limit_seconds)
        return open_image_store(self.settings.image_store_url, StoreHistory(client, self.queue), patience_seconds)

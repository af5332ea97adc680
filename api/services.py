"""Dependency wiring of the API: creates every object that the views and the web server use."""

from dataclasses import dataclass

import redis

from api.access_log import AccessLog
from api.admission_control import AdmissionControl
from api.auth import Keys
from api.batch_intake import BatchIntake
from api.cached_results import CachedResults
from api.headers import CommonHeaders
from api.job_submission import JobSubmission
from api.metrics import ApiMetrics, QueueCollector
from api.operators import Operators
from api.picture_batches import PictureBatches
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from api.responses import JobResponses
from api.service_status import StatusReader
from api.traces import RequestTraces
from api.uploads import UploadLimits
from api.waiters import Waiters
from api.webhook_rules import WebhookRules
from shared.batches.store import Batches
from shared.bounded_call import CallThreads
from shared.images.history import StoreHistory
from shared.images.store import is_in_redis, open_image_store
from shared.jobs.deliveries import Deliveries
from shared.jobs.history import JobHistory
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_server import RedisServer
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.tracing import Tracing, open_tracing
from shared.worker_registry import WorkerRegistry


@dataclass(frozen=True)
class Services:
    """The objects of one API process, without Flask and the web server."""

    settings: Settings
    client: redis.Redis
    queue: Queue
    redis_server: RedisServer
    workers: WorkerRegistry
    ready_workers: ReadyWorkers
    jobs: Jobs
    waiters: Waiters
    admission_control: AdmissionControl
    picture_jobs: PictureJobs
    batch_intake: BatchIntake
    picture_batches: PictureBatches
    submission: JobSubmission
    responses: JobResponses
    upload_limits: UploadLimits
    webhook_rules: WebhookRules
    keys: Keys
    operators: Operators
    status_reader: StatusReader
    headers: CommonHeaders
    tracing: Tracing
    traces: RequestTraces
    access_log: AccessLog
    metrics: ApiMetrics

    @classmethod
    def from_settings(cls, settings: Settings, client: redis.Redis, threads: CallThreads | None = None) -> "Services":
        """Create all objects; starts nothing and does not access Redis.

        `client` decodes replies to `str`. The calls of the image store run in `threads`, by default Python's. Raises
        SettingsError if the image store cannot be used, an operator has no key, or traces are on without OpenTelemetry.
        """
        tracing = open_tracing(settings, "topthree-api")
        queue = Queue(settings.redis_prefix)
        limits = limits_of(settings)
        redis_server = RedisServer(client, settings.redis_min_replicas)
        workers = WorkerRegistry(client, queue)
        metrics = ApiMetrics()
        replicas = settings.redis_min_replicas
        confirm_ends = not is_in_redis(settings.image_store_url)
        jobs = Jobs(client, queue, limits, metrics, min_replicas=replicas, confirm_ends=confirm_ends)
        batches = Batches(client, queue, limits, jobs.backlog, min_replicas=replicas)
        deliveries = Deliveries(client, queue)
        metrics.registry.register(QueueCollector(jobs.backlog, workers, deliveries, batches))
        images = open_image_store(settings.image_store_url, StoreHistory(client, queue), set_up=True, threads=threads)
        # Workers count as absent, at the latest, after the time that a plain upload waits.
        ready_workers = ReadyWorkers(workers, min(settings.no_worker_grace_seconds, settings.wait_seconds))
        cached_results = CachedResults(ResultCache(client, queue, settings.result_cache_ttl_seconds), ready_workers)
        admission_control = AdmissionControl(jobs.backlog, redis_server, limits)
        picture_jobs = PictureJobs(jobs, images, cached_results, metrics)
        waiters = Waiters(client, queue, jobs, settings.max_waiters)
        upload_limits = UploadLimits(settings.max_image_bytes, settings.max_image_pixels)
        batch_intake = BatchIntake(batches, images, cached_results, admission_control, upload_limits, metrics)
        keys = Keys(settings.api_keys)
        return cls(
            settings=settings,
            client=client,
            queue=queue,
            redis_server=redis_server,
            workers=workers,
            ready_workers=ready_workers,
            jobs=jobs,
            waiters=waiters,
            admission_control=admission_control,
            picture_jobs=picture_jobs,
            batch_intake=batch_intake,
            picture_batches=PictureBatches(batches, picture_jobs, admission_control, waiters),
            submission=JobSubmission(
                picture_jobs, cached_results, admission_control, waiters, ready_workers, settings.wait_seconds
            ),
            responses=JobResponses(jobs.backlog),
            upload_limits=upload_limits,
            webhook_rules=WebhookRules(bool(settings.webhook_secret), settings.webhook_hosts),
            keys=keys,
            operators=Operators.from_settings(settings),
            status_reader=StatusReader(
                jobs, JobHistory(client, queue), workers, batches, deliveries, admission_control
            ),
            headers=CommonHeaders(settings.allowed_origins),
            tracing=tracing,
            traces=RequestTraces(tracing),
            access_log=AccessLog(settings.access_log),
            metrics=metrics,
        )

"""Wires the web application: settings in, a Flask application out."""

import redis
from flask import Flask

from api.admission_control import AdmissionControl
from api.auth import Keys, register_keys
from api.cached_results import CachedResults
from api.job_submission import JobSubmission
from api.metrics import ApiMetrics, QueueCollector, register_metrics
from api.problems import register_problem_handlers
from api.quotas import register_quotas
from api.request_id import register_request_id
from api.responses import JobResponses
from api.uploads import UploadLimits
from api.views.docs import docs_blueprint
from api.views.health import health_blueprint
from api.views.metrics import metrics_blueprint
from api.views.page import page_blueprint
from api.views.results import results_blueprint
from api.views.upload import upload_blueprint
from api.waiters import Waiters
from shared.images.inspect import set_up_pillow
from shared.images.store import ImageStore
from shared.jobs.backlog import BacklogReader
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_server import RedisServer
from shared.result_cache import ResultCache
from shared.settings import Settings
from shared.worker_registry import WorkerRegistry


def create_app(
    settings: Settings,
    client: redis.Redis,
    images: ImageStore,
    admission_control: AdmissionControl,
    waiters: Waiters,
    metrics: ApiMetrics,
) -> Flask:
    """Return the application; `client` decodes its answers, `waiters` were started by the caller."""
    set_up_pillow()
    job_limits = limits_of(settings)
    queue = Queue(settings.redis_prefix)
    jobs = Jobs(client, queue, job_limits, metrics)
    backlog = BacklogReader(client, queue, job_limits)
    workers = WorkerRegistry(client, queue)
    metrics.registry.register(QueueCollector(backlog, workers))
    cached_results = CachedResults(ResultCache(client, queue, settings.result_cache_ttl_seconds), workers)
    submission = JobSubmission(jobs, images, cached_results, metrics)
    responses = JobResponses(backlog)
    limits = UploadLimits(settings.max_image_bytes, settings.max_image_pixels)

    app = Flask("topthree", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A doubled slash is a page that is not there, not a redirect in HTML.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = limits.max_body_bytes
    register_metrics(app, metrics)
    register_request_id(app)
    register_problem_handlers(app)
    register_keys(app, Keys(settings.api_keys), jobs)
    app.register_blueprint(
        upload_blueprint(
            admission_control, cached_results, submission, waiters, responses, limits, settings.wait_seconds
        )
    )
    app.register_blueprint(results_blueprint(jobs, submission, waiters, responses))
    app.register_blueprint(health_blueprint(workers, backlog, RedisServer(client)))
    app.register_blueprint(metrics_blueprint(metrics.registry))
    register_quotas(app, client, queue, settings.rate_limit)
    app.register_blueprint(docs_blueprint())
    app.register_blueprint(page_blueprint(limits.max_image_bytes))
    return app

"""The web application: routes, hooks and error handlers over the services."""

from flask import Flask, request
from werkzeug.exceptions import NotFound

from api.auth import register_keys
from api.metrics import register_metrics
from api.middleware import Middleware
from api.problems import register_problem_handlers
from api.proxies import TrustedProxies
from api.quotas import register_quotas
from api.services import Services
from api.traces import name_span
from api.views.batches import batches_blueprint
from api.views.docs import docs_blueprint
from api.views.health import health_blueprint
from api.views.metrics import metrics_blueprint
from api.views.page import page_blueprint
from api.views.results import results_blueprint
from api.views.status import status_blueprint
from api.views.upload import upload_blueprint
from shared.images.inspect import set_up_pillow


def create_app(services: Services) -> Flask:
    """Return the application; the caller starts the waiters."""
    set_up_pillow()
    settings, limits, backlog = services.settings, services.upload_limits, services.jobs.backlog
    app = Flask("topthree", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A doubled slash gives 404, not an HTML redirect.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = limits.max_body_bytes
    register_metrics(app, services.metrics)
    register_problem_handlers(app)
    app.before_request(name_span)
    app.before_request(_refuse_doubled_slash)
    register_keys(app, services.keys)
    app.register_blueprint(upload_blueprint(services.submission, services.responses, limits, services.webhook_rules))
    app.register_blueprint(results_blueprint(services.submission, services.picture_jobs, services.responses))
    app.register_blueprint(
        batches_blueprint(services.picture_batches, services.batch_intake, limits, services.webhook_rules)
    )
    app.register_blueprint(health_blueprint(services.workers, backlog, services.redis_server))
    app.register_blueprint(
        status_blueprint(
            services.status_reader,
            services.operators,
            services.submission,
            services.picture_jobs,
            services.responses,
        )
    )
    app.register_blueprint(metrics_blueprint(services.metrics.registry))
    register_quotas(app, services.client, services.queue, settings.rate_limit)
    app.register_blueprint(docs_blueprint(requires_keys=bool(settings.api_keys)))
    app.register_blueprint(page_blueprint(limits.max_image_bytes, requires_key=bool(settings.api_keys)))
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    app.wsgi_app = Middleware(  # type: ignore[method-assign]
        app.wsgi_app, services.headers, services.traces, services.access_log
    )
    return app


def _refuse_doubled_slash() -> None:
    """Respond with 404 to `//metrics`, which Werkzeug would serve as `/metrics`: a proxy may restrict that path."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound

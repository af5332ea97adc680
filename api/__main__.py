"""`python -m api`: serves the web application until it is told to stop."""

import logging
import os
import sys

from api.admission_control import AdmissionControl
from api.app import create_app
from api.auth import Keys
from api.cors import Cors
from api.early_rejection import EarlyRejection
from api.malloc import return_large_blocks
from api.metrics import ApiMetrics
from api.server.web_server import WebServer
from api.uploads import UploadLimits
from api.waiters import Waiters
from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.backlog import BacklogReader
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.log import configure_logging
from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings, SettingsError, unknown_settings
from shared.this_machine import url_of

log = logging.getLogger("api")

# Beside those that may wait there must be threads for everybody else.
SPARE_THREADS = 32


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    try:
        settings = Settings.from_environ(os.environ)
        configure_logging(settings.log_level, settings.log_format)
        threads = settings.max_waiters + SPARE_THREADS
        # One for each thread, one for the subscription, and one for looking after an image store that is away.
        client = connect(settings.redis_url, max_connections=threads + 2)
        queue = Queue(settings.redis_prefix)
        images = open_image_store(settings.image_store_url, StoreHistory(client, queue), set_up=True)
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)
        return 2
    for variable in unknown_settings(os.environ):
        log.warning("%s is set, but there is no such setting", variable)
    return_large_blocks()
    limits = limits_of(settings)
    store = RedisServer(client)
    admission_control = AdmissionControl(BacklogReader(client, queue, limits), store, limits)
    waiters = Waiters(client, queue, Jobs(client, queue, limits), settings.max_waiters)
    metrics = ApiMetrics()
    app = create_app(settings, client, images, admission_control, waiters, metrics)
    try:
        server = WebServer(
            app,
            settings.host,
            settings.port,
            refuse=EarlyRejection(admission_control, Keys(settings.api_keys), metrics).refusal,
            trusted_proxies=settings.trusted_proxies,
            threads=threads,
            max_body_bytes=UploadLimits(settings.max_image_bytes, settings.max_image_pixels).max_body_bytes,
            cors=Cors(settings.allowed_origins),
        )
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", settings.host, settings.port, error.strerror)
        return 1
    waiters.start()
    # It serves all the same: `/health/ready` says so too, until Redis is there and fit.
    if flaw := store.flaw():
        log.error("Not ready: %s", flaw)
    log.info("serving on %s", url_of(settings.host, settings.port))
    server.serve(on_stop=waiters.close)
    return 0


if __name__ == "__main__":
    sys.exit(main())

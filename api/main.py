"""Serves the web application until SIGTERM or SIGINT."""

import logging
import os
import sys

from api.app import create_app
from api.memory import collect_rarely
from api.native_threads import NativeThreads
from api.server import WebServer
from api.services import Services
from shared.log import configure_logging
from shared.malloc import return_large_blocks
from shared.redis_client import connect
from shared.settings import Settings, SettingsError, unknown_settings
from shared.this_machine import url_of

# The size of the connection pool, and how long a request waits for a free connection.
REDIS_CONNECTIONS = 64
REDIS_CONNECTION_SECONDS = 10.0

log = logging.getLogger("api")


def main() -> int:
    """Serve until a signal arrives; return the exit code."""
    try:
        settings = Settings.from_environ(os.environ)
        configure_logging(settings.log_level, settings.log_format)
        client = connect(
            settings.redis_url, max_connections=REDIS_CONNECTIONS, connection_wait_seconds=REDIS_CONNECTION_SECONDS
        )
        services = Services.from_settings(settings, client, NativeThreads())
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)
        return 2
    for variable in unknown_settings(os.environ):
        log.warning("%s is set, but there is no such setting", variable)
    return_large_blocks()
    app = create_app(services)
    collect_rarely()
    try:
        server = WebServer(app, services)
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", settings.host, settings.port, error.strerror)
        return 1
    services.waiters.start()
    services.ready_workers.start()
    # Serve nevertheless: `/health/ready` reports the same until Redis is reachable and correctly configured.
    if flaw := services.redis_server.flaw():
        log.error("Not ready: %s", flaw)
    log.info("serving on %s", url_of(settings.host, settings.port))
    server.serve(on_stop=services.waiters.close)
    services.tracing.close()
    return 0

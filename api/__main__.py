"""`python -m api`: serves the web application until it is told to stop."""

import os

from waitress.server import create_server

from api.app import create_app
from api.waiters import Waiters
from shared.image_store import open_image_store
from shared.jobs import Jobs, limits_of
from shared.log import configure_logging
from shared.queue import JobQueue, create_celery
from shared.redis_client import connect
from shared.settings import Settings


def main():
    settings = Settings.from_environ(os.environ)
    configure_logging(settings.log_level)
    client = connect(settings.redis_url, max_connections=16, decode=True)
    waiters = Waiters(client, Jobs(client, limits_of(settings)), settings.max_waiters)
    waiters.start()
    app = create_app(
        settings,
        client,
        open_image_store(settings.image_store_url, connect(settings.redis_url, max_connections=16, decode=False)),
        JobQueue(create_celery(settings)),
        waiters,
    )
    create_server(
        app, host=settings.host, port=settings.port, threads=96, connection_limit=2000, asyncore_use_poll=True
    ).run()


main()

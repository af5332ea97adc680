"""`python -m api.contract`: prints the OpenAPI document, for docs/openapi.json (`make contract`)."""

import sys

from api.admission_control import AdmissionControl
from api.app import create_app
from api.contract.document import contract_text
from api.metrics import ApiMetrics
from api.waiters import Waiters
from shared.images.store import RecordImageStore
from shared.jobs.backlog import BacklogReader
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings


def main() -> None:
    """Wire an application that nobody asks anything, and print what it says of itself."""
    settings = Settings.from_environ({})
    client = connect(settings.redis_url, max_connections=1)
    limits = limits_of(settings)
    queue = Queue(settings.redis_prefix)
    admission_control = AdmissionControl(BacklogReader(client, queue, limits), RedisServer(client), limits)
    waiters = Waiters(client, queue, Jobs(client, queue, limits), settings.max_waiters)
    app = create_app(settings, client, RecordImageStore(), admission_control, waiters, ApiMetrics())
    sys.stdout.write(contract_text(app))


if __name__ == "__main__":
    main()

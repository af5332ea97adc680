"""`python -m worker.health`: checks that the worker on this host or container has a live record in Redis."""

import os
import socket
import sys

import redis

from shared.jobs.queue import Queue
from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings, SettingsError
from shared.worker_registry import WorkerRegistry


def flaw() -> str | None:
    """Return what is wrong, or None."""
    host = socket.gethostname()
    try:
        settings = Settings.from_environ(os.environ)
        client = connect(settings.redis_url, max_connections=1)
        if unfit := RedisServer(client).flaw():
            return unfit
        ready = WorkerRegistry(client, Queue(settings.redis_prefix)).ready()
    except (SettingsError, redis.RedisError) as error:
        return str(error)
    # A worker is named HOST-PID; this check does not know the process id.
    if not any(record.name.rpartition("-")[0] == host for record in ready):
        return f"no worker on {host} has reported in the last seconds that it is ready"
    return None


if __name__ == "__main__":
    sys.exit(flaw())  # a message is printed and makes the exit code 1

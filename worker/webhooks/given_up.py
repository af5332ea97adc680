"""Lists the deliveries that were given up, with their reasons."""

import sys
from collections.abc import Mapping

import redis

from shared.jobs.answer import as_timestamp
from shared.jobs.deliveries import Deliveries, GivenUp
from shared.jobs.queue import Queue
from shared.printing import reader_may_leave
from shared.redis_client import connect
from shared.settings import Settings, SettingsError


def main(environ: Mapping[str, str]) -> int:
    """Print one line per delivery, newest first; return the exit code."""
    try:
        settings = Settings.from_environ(environ)
        client = connect(settings.redis_url, max_connections=1)
        found = Deliveries(client, Queue(settings.redis_prefix)).given_up()
    except SettingsError as error:
        sys.stderr.write(f"webhooks: {error}\n")
        return 2
    except redis.RedisError as error:
        sys.stderr.write(f"webhooks: Redis does not answer: {error}\n")
        return 1
    with reader_may_leave():
        sys.stdout.writelines(line(delivery) + "\n" for delivery in found)
        sys.stdout.write(f"{len(found)} webhooks were given up\n")
    return 0


def line(delivery: GivenUp) -> str:
    """Return the time when the job ended, its id, the URL, the number of attempts, and why the last one failed."""
    ended = as_timestamp(delivery.finished_ms)
    return f"{ended}  {delivery.job_id}  {delivery.url}  attempts: {delivery.attempts}  {delivery.reason}"

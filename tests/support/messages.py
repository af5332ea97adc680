"""Messages in the queue, as tests look at them."""

import json
from typing import Any

from shared.jobs.queue import QUEUE_NAME


def job_of(message: str) -> str:
    """Return the id of the job that a message is about."""
    return str(json.loads(message)["headers"]["id"])


def take_all(client: Any) -> list[str]:
    """Take all messages off the queue, the next one first; return their jobs' ids."""
    return [job_of(message) for message in iter(lambda: client.rpop(QUEUE_NAME), None)]

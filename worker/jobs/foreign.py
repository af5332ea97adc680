"""Messages of other programs found in the queue: counted, logged by name, and moved to a capped list."""

import json
import logging
import re
import uuid
from typing import Any

import redis

from shared.jobs.calls import MAX_FOREIGN
from shared.jobs.queue import TASK_NAME, Queue
from shared.jobs.redis_keys import FOREIGN_KEY
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

ID = re.compile(r"[\w-]{1,64}", re.ASCII)


class ForeignMessages:
    """Keeps messages that were sent to the wrong queue, so that an operator can send them again."""

    def __init__(self, client: redis.Redis, queue: Queue, metrics: WorkerMetrics) -> None:
        self._redis = client
        self._queue = queue
        self._metrics = metrics

    def noticed(self, name: str) -> None:
        """Count and log a message that was moved aside; `name` is the name of its task."""
        self._metrics.foreign()
        log.warning(
            "A message of another program was found in the queue %s and moved to %s: %.200s",
            self._queue.list_key,
            self._queue.key(FOREIGN_KEY),
            name,
        )

    def take_in(self, message: bytes) -> str | None:
        """Return a job's message as a delivery with a new tag; move any other message aside and return None."""
        headers = _headers(message)
        name, job_id = (str(headers.get(part, f"no {part}")) for part in ("task", "id"))
        if name == TASK_NAME and ID.fullmatch(job_id):
            return self._queue.delivery(job_id, uuid.uuid4().hex)
        self._keep(message)
        self.noticed(name)
        return None

    def _keep(self, message: bytes) -> None:
        key = self._queue.key(FOREIGN_KEY)
        try:
            with self._redis.pipeline() as pipe:
                pipe.lpush(key, message)
                pipe.ltrim(key, 0, MAX_FOREIGN - 1)
                pipe.execute()
        except redis.RedisError as error:
            log.error("A message of another program could not be saved: %s: %.2000r", error, message)


def _headers(message: bytes) -> dict[str, Any]:
    """Return the headers of a JSON message; empty for any other message, as in `claim.lua`."""
    try:
        envelope = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(envelope, dict) or envelope.get("content-type") != "application/json":
        return {}
    headers = envelope.get("headers")
    return headers if isinstance(headers, dict) else {}

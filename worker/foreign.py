"""Messages of other programs that were found in the queue: counted, logged by name, and moved to a capped list."""

import base64
import json
import logging
from typing import Any

import redis

from shared.job_keys import FOREIGN_KEY
from shared.jobs import MAX_FOREIGN
from shared.queue import Queue
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)


class ForeignMessages:
    """Keeps what was sent to the wrong queue, so that somebody can send it again."""

    def __init__(self, client: redis.Redis, queue: Queue, metrics: WorkerMetrics) -> None:
        self._redis = client
        self._key = queue.key(FOREIGN_KEY)
        self._list_key = queue.list_key
        self._metrics = metrics

    def noticed(self, name: str) -> None:
        """Count and log a message that was moved aside; `name` is that of its task."""
        self._metrics.foreign()
        log.warning(
            "A message of another program was found in the queue %s and moved to %s: %.200s",
            self._list_key,
            self._key,
            name,
        )

    def keep(self, message: Any) -> None:
        """Move a message aside that Celery has taken from the queue and cannot run."""
        headers = message.headers if isinstance(message.headers, dict) else {}
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        if message.properties.get("body_encoding") == "base64":
            body = base64.b64encode(body)
        envelope = {
            "body": body.decode(errors="replace"),
            "content-type": message.content_type,
            "content-encoding": message.content_encoding,
            "headers": headers,
            "properties": message.properties,
        }
        try:
            with self._redis.pipeline() as pipe:
                pipe.lpush(self._key, json.dumps(envelope, default=str))
                pipe.ltrim(self._key, 0, MAX_FOREIGN - 1)
                pipe.execute()
        except redis.RedisError as error:
            log.warning("A message of another program could not be kept: %s", error)
        self.noticed(str(headers.get("task", "no task")))

"""A queue of jobs in Redis: its keys, and the message of a job in Celery's format."""

import json
from dataclasses import dataclass
from functools import cached_property

from shared.jobs.models import FORMAT_VERSION

QUEUE_NAME = "classify"
TASK_NAME = "classify"
# Placeholder for the job's id in a queue's message.
JOB_ID = "JOB_ID"


@dataclass(frozen=True)
class Queue:
    """The queue `name` of one service; services that share a Redis have different prefixes for all their keys."""

    prefix: str = ""
    name: str = QUEUE_NAME

    @property
    def list_key(self) -> str:
        """Key of the list of waiting messages; Celery uses the name of the queue and adds the prefix itself."""
        return self.key(self.name)

    def key(self, name: str) -> str:
        """Return this service's Redis key for `name`."""
        return self.prefix + name

    @cached_property
    def message(self) -> str:
        """The message that delivers a job, with JOB_ID in place of its id.

        Celery does not send it: scripts change a job's record and publish the job atomically.
        """
        return self._message(JOB_ID, JOB_ID, JOB_ID, FORMAT_VERSION)

    def delivery(self, job_id: str, tag: str) -> str:
        """Return the message of one delivery of a job: its task gets `tag` too, which no other delivery has."""
        return self._message(job_id, tag, job_id, FORMAT_VERSION, tag)

    def _message(self, task_id: str, tag: str, *arguments: str | int) -> str:
        """Return a message of Celery's protocol 2 in the envelope of kombu's Redis transport, without unread fields."""
        envelope = {
            "body": json.dumps([arguments, {}, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "task": TASK_NAME, "id": task_id, "root_id": task_id, "retries": 0},
            "properties": {
                "correlation_id": task_id,
                "delivery_info": {"exchange": "", "routing_key": self.name},
                "delivery_tag": tag,
                "priority": 0,
            },
        }
        return json.dumps(envelope, separators=(",", ":"))

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

        It follows Celery's message protocol 2 in the envelope of kombu's Redis transport, and contains only the fields
        that workers read. Celery does not send it: scripts change a job's record and publish the job atomically.
        """
        envelope = {
            "body": json.dumps([[JOB_ID, FORMAT_VERSION], {}, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "task": TASK_NAME, "id": JOB_ID, "root_id": JOB_ID, "retries": 0},
            "properties": {
                "correlation_id": JOB_ID,
                "delivery_info": {"exchange": "", "routing_key": self.name},
                "delivery_tag": JOB_ID,
                "priority": 0,
            },
        }
        return json.dumps(envelope, separators=(",", ":"))

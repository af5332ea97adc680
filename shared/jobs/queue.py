"""A queue of jobs in Redis: its keys, and the message of a job as Celery's workers read it."""

import json
from dataclasses import dataclass
from functools import cached_property

from shared.jobs.models import FORMAT_VERSION

QUEUE_NAME = "classify"
TASK_NAME = "classify"
# Stands in a queue's message wherever a job's id belongs.
JOB_ID = "JOB_ID"


@dataclass(frozen=True)
class Queue:
    """The queue `name` of one service; services that share a Redis differ in the `prefix` of all their keys."""

    prefix: str = ""
    name: str = QUEUE_NAME

    @property
    def list_key(self) -> str:
        """The list of waiting messages. Celery calls the queue by its name and puts the prefix before it."""
        return self.key(self.name)

    def key(self, name: str) -> str:
        """Return the Redis key that this service has for `name`."""
        return self.prefix + name

    @cached_property
    def message(self) -> str:
        """The message that delivers a job, with JOB_ID for its id.

        Celery's message protocol 2 in the envelope of kombu's Redis transport, with what a worker reads of it. Celery
        does not send it: the script that changes a job's record publishes the job in the same step.
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

"""The queue between API and workers: its name, and the message of a job as Celery's workers read it."""

import json

from shared.job import FORMAT_VERSION

QUEUE_NAME = "classify"
TASK_NAME = "classify"
# Stands in MESSAGE wherever a job's id belongs.
JOB_ID = "JOB_ID"
# Celery's message protocol 2 in the envelope of kombu's Redis transport, with what a worker reads of it. It is not
# sent through Celery, so that the script that changes a job's record can publish the job in the same step.
MESSAGE = json.dumps(
    {
        "body": json.dumps([[JOB_ID, FORMAT_VERSION], {}, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": TASK_NAME, "id": JOB_ID, "root_id": JOB_ID, "retries": 0},
        "properties": {
            "correlation_id": JOB_ID,
            "delivery_info": {"exchange": "", "routing_key": QUEUE_NAME},
            "delivery_tag": JOB_ID,
            "priority": 0,
        },
    },
    separators=(",", ":"),
)

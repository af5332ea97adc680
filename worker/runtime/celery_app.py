"""The Celery application of a worker."""

import os

from celery import Celery

from shared.jobs.queue import Queue
from shared.settings import Settings
from worker.runtime.transport import JobAMQP

# Longer than the second for which kombu asks Redis to block.
ANSWER_TIMEOUT_SECONDS = 5
# Celery prefers these to its configuration; the queue would be on another server than the records.
FOREIGN_URLS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


def create_celery(settings: Settings) -> Celery:
    """Return the application; nothing is connected yet."""
    for variable in FOREIGN_URLS:
        os.environ.pop(variable, None)
    app = Celery("topthree", amqp=JobAMQP, set_as_current=False)
    app.conf.update(
        **settings.redis_url.broker_settings(),
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=Queue(settings.redis_prefix).list_key,
        broker_connection_retry_on_startup=True,
        # For ever: a worker that gave up would only be started again.
        broker_connection_max_retries=None,
        # What a worker holds and does not run would wait longer than in the queue.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        # Without late acknowledgement nothing is cancelled; set because Celery warns of it at every reconnect else.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_transport_options={
            # Records and leases decide what is repeated (docs/decisions/0004): the broker keeps no second account.
            "ack_emulation": False,
            # All jobs have the same priority: one list instead of four.
            "priority_steps": [0],
            "socket_timeout": ANSWER_TIMEOUT_SECONDS,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app

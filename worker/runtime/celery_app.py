"""Creates the Celery application for workers and for Celery's own commands."""

import logging
import os
from typing import Any

from celery import Celery
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu import Exchange, Producer
from kombu.pidbox import Node

from shared.jobs.queue import QUEUE_NAME
from shared.settings import Settings

# Keep in step with deploy/monitoring/flower_celery.py.
CONTROL_EXCHANGE, EVENT_EXCHANGE = "topthree", "topthree.events"
# Longer than kombu's blocking read, which takes one second.
ANSWER_TIMEOUT_SECONDS = 5
# Celery prefers these to its configuration, which could put the queue on another server than the job records.
FOREIGN_URLS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

log = logging.getLogger(__name__)


class OneTryDispatcher(EventDispatcher):
    """Sends events without retries: a heartbeat that waits for Redis would block the event loop, including SIGTERM."""

    def send(self, *arguments: Any, **fields: Any) -> None:
        """Send an event; if that fails, Celery sends it after the next connection to Redis."""
        super().send(*arguments, **{**fields, "retry": False})


class OneTryNode(Node):
    """Sends each reply to a remote command once: a failure neither ends the worker nor blocks it."""

    def reply(self, data: Any, exchange: Any, routing_key: Any, ticket: Any, **_: Any) -> None:
        """Send a reply over the channel that received the command."""
        mailbox: Any = self.mailbox
        channel: Any = self.channel
        direct = Exchange(exchange, exchange_type="direct", delivery_mode="transient", durable=False)
        headers = {"ticket": ticket, "clock": mailbox.clock.forward()}
        try:
            producer = Producer(channel, exchange=direct, routing_key=routing_key, serializer=mailbox.serializer)
            producer.publish(data, headers=headers, retry=False)
        except Exception as error:
            log.warning("The reply to a Celery command could not be sent: %s", error)


class WorkerEvents(Events):
    """Celery's events, sent by OneTryDispatcher."""

    dispatcher_cls = f"{__name__}:{OneTryDispatcher.__name__}"


def create_celery(settings: Settings) -> Celery:
    """Return the application; it connects later."""
    for variable in FOREIGN_URLS:
        os.environ.pop(variable, None)
    app = Celery("topthree", events=WorkerEvents, set_as_current=False)
    broker = settings.redis_url.broker_settings()
    app.conf.update(
        broker_url=broker["broker_url"],
        broker_use_ssl=broker["broker_use_ssl"],
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=QUEUE_NAME,
        broker_connection_retry_on_startup=True,
        # No limit: a worker that gave up would only be restarted.
        broker_connection_max_retries=None,
        # No prefetching: a message that a busy worker holds cannot be taken by an idle one.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # If children claim jobs themselves, task events would cover only a few of the jobs.
        worker_send_task_events=settings.consume_seconds == 0,
        # No effect without late acknowledgement; set because Celery otherwise warns at every reconnect.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_transport_options={
            **broker["broker_transport_options"],
            # Job records and leases decide what is repeated (docs/decisions/0004), not the broker.
            "ack_emulation": False,
            # All jobs have the same priority: use one list instead of four.
            "priority_steps": [0],
            # For the queue, remote control and events: keeps services that share a Redis apart.
            "global_keyprefix": settings.redis_prefix,
            "socket_timeout": ANSWER_TIMEOUT_SECONDS,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Not Celery's default names, so that commands of other programs on this database do not reach these workers.
        control_exchange=CONTROL_EXCHANGE,
        event_exchange=EVENT_EXCHANGE,
    )
    control: Any = app.control
    control.mailbox.node_cls = OneTryNode
    return app

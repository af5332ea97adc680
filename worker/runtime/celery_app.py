"""The Celery application, as workers and Celery's own commands have it."""

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

# deploy/monitoring/flower_celery.py has them too.
CONTROL_EXCHANGE, EVENT_EXCHANGE = "topthree", "topthree.events"
# Longer than the second for which kombu asks Redis to block.
ANSWER_TIMEOUT_SECONDS = 5
# Celery prefers these to its configuration; the queue would be on another server than the records.
FOREIGN_URLS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

log = logging.getLogger(__name__)


class OneTryDispatcher(EventDispatcher):
    """Sends each event once: a heartbeat that waited for Redis would stop the event loop, SIGTERM included."""

    def send(self, *arguments: Any, **fields: Any) -> None:
        """Send an event; one that cannot be sent now is sent after the next connection to Redis."""
        super().send(*arguments, **{**fields, "retry": False})


class OneTryNode(Node):
    """Replies to each remote command once; a reply that Redis does not take ends no worker and holds up nothing."""

    def reply(self, data: Any, exchange: Any, routing_key: Any, ticket: Any, **_: Any) -> None:
        """Send a reply over the channel of the commands."""
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
    """Celery's events with that dispatcher."""

    dispatcher_cls = f"{__name__}:{OneTryDispatcher.__name__}"


def create_celery(settings: Settings) -> Celery:
    """Return the application; nothing is connected yet."""
    for variable in FOREIGN_URLS:
        os.environ.pop(variable, None)
    app = Celery("topthree", events=WorkerEvents, set_as_current=False)
    app.conf.update(
        **settings.redis_url.broker_settings(),
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=QUEUE_NAME,
        broker_connection_retry_on_startup=True,
        # For ever: a worker that gave up would only be started again.
        broker_connection_max_retries=None,
        # What a worker holds and does not run would wait longer than in the queue.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # Where children claim jobs themselves, events of tasks would tell of a few jobs only.
        worker_send_task_events=settings.consume_seconds == 0,
        # Without late acknowledgement nothing is cancelled; set because Celery warns of it at every reconnect else.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_transport_options={
            # Records and leases decide what is repeated (docs/decisions/0004): the broker keeps no second account.
            "ack_emulation": False,
            # All jobs have the same priority: one list instead of four.
            "priority_steps": [0],
            # The queue, and what remote control and events use: two services on one Redis do not hear each other.
            "global_keyprefix": settings.redis_prefix,
            "socket_timeout": ANSWER_TIMEOUT_SECONDS,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Not Celery's default names: other programs' commands on this database are not for these workers.
        control_exchange=CONTROL_EXCHANGE,
        event_exchange=EVENT_EXCHANGE,
    )
    control: Any = app.control
    control.mailbox.node_cls = OneTryNode
    return app

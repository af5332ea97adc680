"""Celery's way to the queue: kombu's Redis transport, which hands on the messages of jobs only."""

from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis


class JobChannel(redis.Channel):
    """Has `take_in` read what comes off the queue, as kombu and Celery end the worker for many a strange message."""

    from_transport_options = (*redis.Channel.from_transport_options, "take_in")
    # Gets a message as it was in the queue; returns the one to hand on, None for none.
    take_in: Callable[[bytes], str | None] | None = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]
        if self.take_in:
            client.set_response_callback("BRPOP", self._taken)
        return client

    def _taken(self, answer: tuple[bytes, bytes] | None, **_: Any) -> tuple[bytes, str] | None:
        # To kombu None says that the queue was empty.
        message = self.take_in(answer[1]) if answer and self.take_in else None
        return (answer[0], message) if answer and message else None


class JobTransport(redis.Transport):
    """Transport with these channels."""

    Channel = JobChannel


class JobConnection(Connection):
    """Connection with this transport, whatever the form of the URL."""

    def get_transport_cls(self) -> Any:
        return JobTransport


class JobAMQP(AMQP):
    """What Celery makes its connections with."""

    Connection = JobConnection

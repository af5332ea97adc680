"""Passes only job messages to Celery, because many other messages make kombu or Celery end the worker."""

from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps

TakeIn = Callable[[bytes], str | None]


def attach_filter(app: Celery, take_in: TakeIn) -> None:
    """Call `take_in` for each message from the queue before kombu parses it.

    It gets the raw message and returns the message for kombu, or None to drop it.
    """

    class MessageFilter(bootsteps.StartStopStep):
        # Started after every reconnect, before the first message is requested.
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            def taken(answer: tuple[bytes, bytes] | None, **_: Any) -> tuple[bytes, str] | None:
                # kombu takes None for an empty queue.
                message = take_in(answer[1]) if answer else None
                return (answer[0], message) if answer and message else None

            consumer.task_consumer.channel.client.set_response_callback("BRPOP", taken)

    app.steps["consumer"].add(MessageFilter)

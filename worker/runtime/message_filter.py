"""Hands Celery the messages of jobs only, since kombu and Celery end a worker for many other messages."""

from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps

TakeIn = Callable[[bytes], str | None]


def attach_filter(app: Celery, take_in: TakeIn) -> None:
    """Have `take_in` read what comes off the queue before kombu does.

    It gets a message as it was in the queue and returns the one to hand on, None for none.
    """

    class MessageFilter(bootsteps.StartStopStep):
        # Started anew with each connection, before the first message is asked for.
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            def taken(answer: tuple[bytes, bytes] | None, **_: Any) -> tuple[bytes, str] | None:
                # To kombu None says that the queue was empty.
                message = take_in(answer[1]) if answer else None
                return (answer[0], message) if answer and message else None

            consumer.task_consumer.channel.client.set_response_callback("BRPOP", taken)

    app.steps["consumer"].add(MessageFilter)

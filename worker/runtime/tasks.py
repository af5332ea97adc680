"""The Celery tasks: thin entry points into plain classes."""

from collections.abc import Callable

from celery import Celery

from shared.jobs.queue import TASK_NAME

# Gets the id of the delivered job, and the tag of its delivery.
RunTask = Callable[[str, str], None]


def register_tasks(app: Celery, run_task: RunTask, hard_seconds: int, soft_seconds: int) -> None:
    """Register `classify`, which gets the arguments of `Queue.delivery`, with its hard and its soft time limit."""

    @app.task(name=TASK_NAME, time_limit=hard_seconds, soft_time_limit=soft_seconds)
    def classify(job_id: str, _format_version: int, delivery_tag: str) -> None:
        run_task(job_id, delivery_tag)

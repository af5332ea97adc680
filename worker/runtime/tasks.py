"""The Celery tasks: thin entry points into plain classes."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from shared.jobs.queue import TASK_NAME


def register_tasks(app: Celery, run_task: Callable[[str], None], hard_seconds: int, soft_seconds: int) -> None:
    """Register `classify(job_id, format version)` with its hard and its soft time limit."""

    @app.task(name=TASK_NAME, time_limit=hard_seconds, soft_time_limit=soft_seconds)
    def classify(job_id: str, *_format_version: Any) -> None:
        run_task(job_id)

"""The Celery tasks: an entry into plain classes and nothing else."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from shared.jobs.queue import TASK_NAME


def register_tasks(app: Celery, run_job: Callable[[str], None], time_limit_seconds: int) -> None:
    """Register `classify(job_id, format version)` with a hard time limit and a soft one two seconds before it."""

    @app.task(name=TASK_NAME, time_limit=time_limit_seconds, soft_time_limit=max(1, time_limit_seconds - 2))
    def classify(job_id: str, *_format_version: Any) -> None:
        run_job(job_id)

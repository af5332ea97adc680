"""Overrides of Celery's remote control commands."""

from collections.abc import Callable, Sequence
from typing import Any

from celery.worker.control import control_command

Answer = dict[str, str]
NUMBER_IS_FIXED = "the number of processes is fixed at the start: set WORKERS and restart the worker"
# Commands that would break a worker or have no effect.
REFUSED = {
    "terminate": "jobs cannot be killed: revoke cancels them",
    "pool_grow": NUMBER_IS_FIXED,
    "pool_shrink": NUMBER_IS_FIXED,
    "pool_restart": NUMBER_IS_FIXED,
    "autoscale": NUMBER_IS_FIXED,
    "rate_limit": "jobs have no rate limit in the workers: RATE_LIMIT limits uploads",
    "time_limit": "leases depend on the time limit: set JOB_TIME_LIMIT_SECONDS and restart the worker",
    "add_consumer": "a worker serves one queue",
    "cancel_consumer": "a worker that takes no jobs is restarted by its watchdog: stop the worker instead",
}


def register_commands(cancel: Callable[[Sequence[str]], int | None]) -> None:
    """Make `revoke` cancel jobs, and refuse the commands in REFUSED.

    `cancel` returns the number of canceled jobs, None if Redis does not answer.
    """

    def revoke(_state: Any, task_id: str | Sequence[str], **_options: Any) -> Answer:
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        canceled = cancel(ids)
        if canceled is None:
            return {"error": "Redis does not answer"}
        return {"ok": f"{canceled} of {len(ids)} jobs canceled here"}

    control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")(revoke)
    for name, reason in REFUSED.items():
        control_command(name=name)(_refusal(reason))


def _refusal(reason: str) -> Callable[..., Answer]:
    def refuse(_state: Any, **_options: Any) -> Answer:
        return {"error": reason}

    return refuse

"""A child's turn: the job that was delivered to it, and those that wait."""

import time
import uuid

from shared.jobs import Jobs
from worker.job_runner import JobRunner

# Under load this many jobs of a child pass by Celery's parent, which costs a sixth of what the model does
# (docs/decisions/0008). Short, since a stop and a time limit wait for it.
TURN_SECONDS = 1


class Turn:
    """Runs jobs one after the other for as long as there are any, at most for TURN_SECONDS and the last job."""

    def __init__(self, jobs: Jobs, runner: JobRunner) -> None:
        self._jobs = jobs
        self._runner = runner

    def run(self, delivered_id: str) -> None:
        """Run the delivered job and, while there is time, those that wait in the queue.

        The executions bear the delivered id, so that the parent knows what a lost child was at.
        """
        until = time.monotonic() + TURN_SECONDS
        job_id: str | None = delivered_id
        while job_id:
            self._runner.run(job_id, execution_of(delivered_id))
            job_id = self._jobs.take() if time.monotonic() < until else None


def execution_of(delivered_id: str) -> str:
    """Return a new execution of the turn that began with this delivery."""
    return f"{delivered_id}:{uuid.uuid4().hex}"


def is_of_turn(execution: str, delivered_id: str) -> bool:
    """Whether an execution belongs to the turn that began with this delivery."""
    return execution.startswith(f"{delivered_id}:")

"""Hooks for job events in this process, used by metrics."""

from shared.jobs.admission import Admission
from shared.jobs.models import JobState


class JobEvents:
    """Hooks that do nothing; subclasses override those they need."""

    def accepted(self, admission: Admission) -> None:
        """A job was accepted, or the request joined an earlier job."""

    def ended(self, state: JobState) -> None:
        """This process has ended a job."""

    def requeued(self, reason: str, count: int) -> None:
        """Jobs were requeued because the attempt was lost (`lost`), or the message was (`overtaken`)."""


NO_EVENTS = JobEvents()

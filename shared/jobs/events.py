"""What happens to jobs in this process, for whoever counts it."""

from shared.jobs.admission import Admission
from shared.jobs.models import JobState


class JobEvents:
    """Hooks that do nothing; subclasses override those they need."""

    def accepted(self, admission: Admission) -> None:
        """A job was accepted, or an earlier one joined."""

    def refused(self, status: int) -> None:
        """A request was refused on its headers, with this HTTP status."""

    def ended(self, state: JobState) -> None:
        """A job was ended by this process."""

    def requeued(self, reason: str, count: int) -> None:
        """Jobs were requeued, as their attempt was `lost`, or published again, as their message was (`overtaken`)."""


NO_EVENTS = JobEvents()

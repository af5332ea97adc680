"""Claims of queued jobs: the request, and the jobs that an execution then holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.jobs.models import Ended, Job


@dataclass(frozen=True)
class Claim:
    """A request for up to `most` jobs, which the `execution` on `worker` holds under a lease of `lease_seconds`.

    Every claim needs a new execution: a second claim with the same one counts as the first one sent again.
    """

    execution: str
    worker: str
    lease_seconds: float
    most: int = 1


@dataclass(frozen=True)
class ClaimedJob:
    """A job that an execution holds; `picture` is empty unless pictures are stored in Redis."""

    job: Job
    picture: bytes
    execution: str


@dataclass(frozen=True)
class Claimed:
    """Result of a claim: the jobs, and the names of other programs' tasks found in the queue.

    `ended`: result of ending the previous job in the same round trip.
    """

    jobs: Sequence[ClaimedJob] = ()
    foreign: Sequence[str] = ()
    ended: Ended = Ended.NO

    @classmethod
    def from_answer(cls, execution: str, foreign: Sequence[bytes], found: Sequence[Sequence[Any]]) -> "Claimed":
        """Parse the answer of the script: names of tasks, and for each job its id, its picture and its flat record."""
        return cls(
            [_claimed_job(execution, *parts) for parts in found], [name.decode(errors="replace") for name in foreign]
        )


def _claimed_job(execution: str, job_id: bytes, picture: bytes, flat: list[bytes]) -> ClaimedJob:
    text = [part.decode() for part in flat]
    record = dict(zip(text[::2], text[1::2], strict=True))
    return ClaimedJob(Job.from_hash(job_id.decode(), record), picture, execution)

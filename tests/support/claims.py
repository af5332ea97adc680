"""Claims as tests make them: of one job, by an execution that nobody else has."""

import itertools

from shared.jobs.claims import Claim, ClaimedJob
from shared.jobs.store import Jobs

LONG_SECONDS = 60.0
_numbers = itertools.count(1)


def new_claim(worker: str = "w", lease_seconds: float = LONG_SECONDS) -> Claim:
    """Return a claim with an execution of its own."""
    return Claim(f"x{next(_numbers)}", worker, lease_seconds)


def claim_job(jobs: Jobs, job_id: str, claim: Claim | None = None) -> ClaimedJob | None:
    """Claim a job whose message was delivered; None if it may not be run."""
    return next(iter(jobs.claim(claim or new_claim(), job_id).jobs), None)


def claim_next(jobs: Jobs, claim: Claim | None = None) -> ClaimedJob | None:
    """Claim the next job of the queue; None if there is none."""
    return claim_job(jobs, "", claim)

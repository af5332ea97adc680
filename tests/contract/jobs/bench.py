"""Jobs as these tests admit them."""

from typing import Any

from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from tests.support.claims import claim_job
from tests.support.outcomes import fail, succeed

PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=640, height=480, bytes=1000)
LIMITS = JobLimits(
    max_open_jobs=5, max_stored_bytes=5_000, attempts=3, result_ttl_seconds=100, tombstone_ttl_seconds=200
)
REQUEST = JobRequest(PICTURE, top=3)
MODEL = {"name": "m", "digest": "d"}
LONG, ENDED = 60.0, 0.0
QUEUE = Queue()
TERMINAL = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]


def now_ms(client: Any) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def admit(jobs: Jobs, *job_ids: str) -> None:
    for job_id in job_ids:
        jobs.admit(job_id, REQUEST)


def put_into(jobs: Jobs, state: JobState) -> None:
    """Bring a new job "j" into `state`."""
    admit(jobs, "j")
    if state is not JobState.QUEUED and state is not JobState.CANCELED:
        claim_job(jobs, "j", Claim("x", "w", LONG))
    moves = {
        JobState.SUCCEEDED: lambda: succeed(jobs, "j", {}, MODEL),
        JobState.FAILED: lambda: fail(jobs, "j", {"status": 422}),
        JobState.CANCELED: lambda: jobs.cancel("j"),
    }
    moves.get(state, lambda: None)()

"""`python -m shared.jobs.failed`: lists the most recently failed jobs with their reasons."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import redis

from shared.jobs.limits import limits_of
from shared.jobs.models import Job
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.settings import Settings, SettingsError

MOST = 100


def main(environ: Mapping[str, str]) -> int:
    """Print one line per job, newest first; return the exit code."""
    try:
        settings = Settings.from_environ(environ)
        client = connect(settings.redis_url, max_connections=1)
        jobs = Jobs(client, Queue(settings.redis_prefix), limits_of(settings))
        found = jobs.failed(MOST)
    except SettingsError as error:
        sys.stderr.write(f"failed_jobs: {error}\n")
        return 2
    except redis.RedisError as error:
        sys.stderr.write(f"failed_jobs: Redis does not answer: {error}\n")
        return 1
    sys.stdout.writelines(line(job) + "\n" for job in found)
    sys.stdout.write(f"{len(found)} failed jobs of the last {settings.result_ttl_seconds} s\n")
    return 0


def line(job: Job) -> str:
    """Return time, job id, request id, kind of picture, number of attempts, and reason of a failed job."""
    moment = datetime.fromtimestamp(job.finished_ms / 1000, UTC).isoformat(timespec="seconds")
    problem = job.problem or {}
    picture = f"{job.picture.format} {job.picture.width}x{job.picture.height} {job.picture.bytes} bytes"
    reason = f"{problem.get('title', '')}: {problem.get('detail', '')}"
    begun = f"started {job.attempts} times on {job.worker or '-'}"
    return f"{moment}  {job.id}  [{job.request_id or '-'}]  {picture}  {begun}  {reason}"


if __name__ == "__main__":
    sys.exit(main(os.environ))

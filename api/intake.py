"""Accepts pictures as jobs: stored first, then admitted, then published, so that nothing accepted is ever lost."""

import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass

import redis
from kombu.exceptions import OperationalError

from api.uploads import Upload
from shared.errors import QueueFull
from shared.image_store import ImageStore
from shared.jobs import Jobs
from shared.queue import JobQueue

log = logging.getLogger(__name__)

# What a store may raise when it is away or full; fsspec's stores raise OSError.
STORE_ERRORS = (redis.RedisError, OperationalError, OSError)


@dataclass(frozen=True)
class Accepted:
    """A job that was just accepted, and its place in the queue, 1 for the next to begin."""

    job_id: str
    position: int


class Intake:
    """Turns uploads into jobs, and takes jobs back at their client's wish."""

    def __init__(self, jobs: Jobs, images: ImageStore, queue: JobQueue) -> None:
        self._jobs = jobs
        self._images = images
        self._queue = queue

    def accept(self, upload: Upload) -> Accepted:
        """Accept the picture as a job; when this raises, nothing is left behind.

        Raises:
            QueueFull: as many jobs are open as are admitted.
            redis.RedisError, OperationalError, OSError: a store is away.
        """
        job_id = secrets.token_hex(16)
        self._images.put(job_id, upload.data)
        try:
            position = self._jobs.admit(job_id, upload.picture, upload.top)
            self._queue.enqueue(job_id)
        except (QueueFull, *STORE_ERRORS):
            self._take_back(job_id)
            raise
        return Accepted(job_id, position)

    def _take_back(self, job_id: str) -> None:
        # With the store away this fails too: then the picture goes when its TTL ends, and a record that was
        # written before is found and done by the repair.
        with suppress(*STORE_ERRORS):
            self._jobs.withdraw(job_id)
            self._images.delete(job_id)

    def cancel(self, job_id: str) -> None:
        """Cancel an open job or forget a finished one; raises as `Jobs.get` for one that is not there."""
        self._jobs.get(job_id)
        if self._jobs.cancel(job_id):
            self._images.delete(job_id)
        else:
            self._jobs.delete(job_id)

"""Jobs together with their pictures: the picture is stored first, so that no accepted job is without its picture."""

import hashlib
import threading
from collections.abc import Sequence

from api.cached_results import CachedResults
from api.uploads import Upload
from shared.errors import JobEnded, NotReplicated
from shared.images.store import ImageStore, forget_picture
from shared.jobs.admission import Admission, IdempotencyKey, JobRequest
from shared.jobs.events import JobEvents
from shared.jobs.models import Ended, Job, JobState
from shared.jobs.retries import Retries, admit_picture
from shared.jobs.store import Jobs

# Each retry holds a picture in memory until it is stored; others wait.
MOST_RETRIES = 4


class PictureJobs:
    """Accepts pictures as jobs, and reads, cancels, deletes and retries these jobs."""

    def __init__(self, jobs: Jobs, images: ImageStore, cached_results: CachedResults, events: JobEvents) -> None:
        """`events.accepted` is called after every admission."""
        self._jobs = jobs
        self._images = images
        self._cached_results = cached_results
        self._events = events
        self._retries = Retries(jobs, images)
        self._retry_slots = threading.BoundedSemaphore(MOST_RETRIES)

    def accept(self, job_id: str, upload: Upload, key: str = "") -> Admission:
        """Accept the picture as the job `job_id`, or join the earlier job of the idempotency `key`.

        A job with a cached result ends at once.

        Raises:
            QueueFull: the limit of open jobs or stored bytes is reached; nothing is left behind.
            PictureTooLarge: the limit of stored bytes is below this picture; nothing is left behind.
            KeyReused: the key was used with a different request; nothing is left behind.
            NotReplicated: the job was accepted, but too few replicas have it.
            redis.RedisError, OSError: a store is unreachable. If only its reply was lost, the job was accepted
                nevertheless: it is processed, and a retry with the same key joins it.
        """
        known = self._cached_results.find(upload.request.picture.sha256)
        idempotency_key = _idempotency_key(key, upload.request)
        admission = admit_picture(self._jobs, self._images, job_id, upload.request, idempotency_key, upload.data, known)
        return self._replicated(admission)

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return the job; with an `owner`, only if they own it. Raises as `Jobs.get`."""
        return self._jobs.get(job_id, owner)

    def cancel(self, job_id: str, owner: str | None = None) -> None:
        """Cancel an open job or delete a finished one; raises as `get`."""
        if not self.cancel_open(job_id, owner):
            self._retries.forget(job_id)
            if self._jobs.delete(job_id):
                forget_picture(self._images, job_id)

    def cancel_open(self, job_id: str, owner: str | None = None) -> bool:
        """Cancel an open job; False if it has ended, and its result stays. Raises as `get`."""
        self.get(job_id, owner)
        canceled = self._jobs.cancel(job_id)
        if canceled is Ended.YES:
            forget_picture(self._images, job_id)
        return bool(canceled)

    def cancel_only(self, job_id: str, owner: str | None = None) -> None:
        """Cancel an open job, or one that is canceled already.

        Raises:
            JobEnded: the job has ended otherwise; its result stays.
            UnknownJob, GoneJob: as `get`.
        """
        if not self.cancel_open(job_id, owner) and self.get(job_id, owner).state is not JobState.CANCELED:
            raise JobEnded("This job has ended; its result is kept. To delete the result, send `DELETE`.")

    def forget_all(self, job_ids: Sequence[str]) -> None:
        """Cancel those of the jobs that are open, and delete the records and pictures of all."""
        for job_id in self._jobs.cancel_all(job_ids):
            forget_picture(self._images, job_id)
        for job_id in set(self._jobs.kept.job_ids()).intersection(job_ids):
            self._retries.forget(job_id)
        self._jobs.delete(*job_ids)

    def retry(self, job_id: str, new_id: str, owner: str | None, request_id: str) -> Admission:
        """Admit a failed job again as `new_id`, or return the job of an earlier retry; raises as `Retries.retry`."""
        job = self.get(job_id, owner)
        with self._retry_slots:
            admission = self._retries.retry(job, new_id, request_id)
        return self._replicated(admission)

    def _replicated(self, admission: Admission) -> Admission:
        self._events.accepted(admission)
        if not admission.replicated:
            raise NotReplicated(admission.job_id)
        return admission


def _idempotency_key(key: str, request: JobRequest) -> IdempotencyKey | None:
    if not key:
        return None
    wanted = f"{request.picture.sha256} {request.top} {request.deadline_seconds}"
    # Without these, the fingerprint is that of earlier versions.
    if request.min_confidence:
        wanted += f" {request.min_confidence}"
    if request.webhook:
        wanted += f" {request.webhook}"
    return IdempotencyKey(scope=request.owner, key=key, fingerprint=hashlib.sha256(wanted.encode()).hexdigest())

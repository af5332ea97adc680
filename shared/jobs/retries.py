"""Retries jobs that failed by a fault of the service, as new jobs with the kept pictures."""

from shared.errors import GoneJob, ImageMissing, KeyReused, NotRetryable, PictureTooLarge, QueueFull
from shared.images.store import ImageStore, forget_picture
from shared.jobs.admission import Admission, IdempotencyKey, JobRequest
from shared.jobs.models import Job, JobState
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from shared.tracing import current_traceparent

# The scope of a client's key is the name of its API key, which has no space. So clients cannot use this scope.
SCOPE = "retry of"
PICTURE_GONE = "The picture of this job is no longer kept. Send it again."
PICTURE_MISSING = "The picture of this job is not in the image store. Send it again."
SEND_AGAIN = "Send the picture again."
REASONS = {
    JobState.SUCCEEDED: "This job has succeeded; only failed jobs can be retried.",
    JobState.CANCELED: f"This job was canceled; only failed jobs can be retried. {SEND_AGAIN}",
    JobState.EXPIRED: f"The deadline of this job has passed; only failed jobs can be retried. {SEND_AGAIN}",
}


class Retries:
    """Retries failed jobs, and forgets the pictures that are kept for that."""

    def __init__(self, jobs: Jobs, images: ImageStore) -> None:
        self._jobs = jobs
        self._images = images

    def earlier(self, job: Job) -> Admission | None:
        """Return the job that an earlier retry of `job` has created, None if there is none."""
        return self._jobs.joined(_key_of(job))

    def retry(self, job: Job, new_id: str, request_id: str = "") -> Admission:
        """Admit the job again as `new_id`; if it has been retried before, join the job of the first retry.

        If the answer of a call is lost, or too few replicas have the admission, call again: the second call joins the
        job that was admitted. Until replicas have it, the picture stays kept.

        Raises:
            NotRetryable: the job has not failed, or failed because of its picture.
            GoneJob: the picture is no longer kept, or not in the image store.
            QueueFull: the limit of open jobs or stored bytes is reached; the picture stays kept.
            PictureTooLarge: since the job was accepted, the limit of bytes was set below its picture, which stays kept.
            redis.RedisError, OSError: a store is unreachable.
        """
        check_retryable(job)
        try:
            picture = self._picture_of(job.id)
        except ImageMissing:
            # Only after reading the picture: otherwise another caller could retry the job between the two steps.
            first = self.earlier(job)
            if not first:
                # What the index lists stays there: this may be another store than the one that has the picture.
                raise GoneJob(PICTURE_MISSING if self._jobs.kept.contains(job.id) else PICTURE_GONE) from None
            # The earlier retry was perhaps cut off before it removed the picture from the index.
            self.forget(job.id)
            return first
        request = request_again(job, request_id)
        admission = admit_picture(self._jobs, self._images, new_id, request, _key_of(job), picture)
        if admission.replicated:
            self.forget(job.id)
        return admission

    def finds(self, job_id: str) -> bool:
        """Whether the picture of a failed job is kept, and in this store; raises as `ImageStore.get`."""
        try:
            self._picture_of(job_id)
        except ImageMissing:
            return False
        return True

    def forget(self, job_id: str) -> bool:
        """Delete the picture that is kept for a failed job; False if there is none."""
        is_kept = self._jobs.kept.contains(job_id)
        if is_kept:
            forget_picture(self._images, job_id)
            self._jobs.kept.forget(job_id)
        return is_kept

    def _picture_of(self, job_id: str) -> bytes:
        if not self._jobs.kept.contains(job_id):
            raise ImageMissing(PICTURE_GONE)
        return self._images.get(job_id, self._jobs.kept.carried(job_id))


def check_retryable(job: Job) -> None:
    """Raise NotRetryable, with the reason, unless the job failed by a fault of the service."""
    if not job.state.terminal:
        raise NotRetryable("This job has not ended. Wait for its result.")
    if job.state is not JobState.FAILED:
        raise NotRetryable(REASONS[job.state])
    if int((job.problem or {}).get("status", 500)) < 500:
        raise NotRetryable("This job failed because of its picture: another attempt would fail in the same way.")


def request_again(job: Job, request_id: str) -> JobRequest:
    """Return a request for another attempt of a job, without its deadline, which may have passed."""
    return JobRequest(
        picture=job.picture,
        top=job.top,
        owner=job.owner,
        request_id=request_id,
        # A retry by an operator belongs to the trace of the failed job.
        traceparent=current_traceparent() or job.traceparent,
        min_confidence=job.min_confidence,
        retry_of=job.id,
        webhook=job.webhook,
    )


def admit_picture(
    jobs: Jobs,
    images: ImageStore,
    job_id: str,
    request: JobRequest,
    key: IdempotencyKey | None,
    data: bytes,
    known: KnownResult | None = None,
) -> Admission:
    """Store the picture, unless its result is `known`, and admit the job; delete the picture if it is not needed.

    It is not needed if the job is refused or joins another one.

    Raises as `Jobs.admit` and `ImageStore.put`.
    """
    carried = b"" if known else images.put(job_id, data)
    try:
        admission = jobs.admit(job_id, request, key, known, carried)
    except (QueueFull, PictureTooLarge, KeyReused):
        forget_picture(images, job_id)
        raise
    if admission.joined:
        forget_picture(images, job_id)
    return admission


def _key_of(job: Job) -> IdempotencyKey:
    return IdempotencyKey(SCOPE, job.id, fingerprint="")

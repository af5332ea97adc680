"""Submits an upload and decides on the response: the labels, the open job, or a timeout."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from api.admission_control import AdmissionControl
from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.preferences import Preferences
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from api.waiters import Waiters, never
from shared.errors import TooManyWaiters
from shared.jobs.admission import Admission, new_job_id
from shared.jobs.models import Job, JobState

NO_SLOT = "Too many requests are waiting for a result. Try again, or send `Prefer: respond-async` and poll."
NO_SLOT_RETRY_AFTER_SECONDS = 2
NO_PREFERENCES = Preferences(respond_async=False, wait_seconds=None)


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """Base of all outcomes of an upload.

    `preferences` are those that were honored. `known` is whether the result was cached; None if the cache is off or
    an earlier job was joined.
    """

    preferences: Preferences
    known: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Finished(Submitted):
    """The job has ended while the client waited."""

    job: Job


@dataclass(frozen=True, kw_only=True)
class Open(Submitted):
    """The client does not wait (any longer); `position` in the queue is None if unknown or if the job is not queued.

    `no_worker` is whether the job waits for a worker to start; `retry_of` is the id of the failed job that it retries.
    """

    job_id: str
    state: JobState
    position: int | None = None
    no_worker: bool = False
    retry_of: str = ""


@dataclass(frozen=True, kw_only=True)
class TimedOut(Submitted):
    """A client without preferences waited until the timeout, or there is `no_worker` to wait for; the job continues."""

    job_id: str
    no_worker: bool


class JobSubmission:
    """Accepts uploads and waits for their jobs."""

    def __init__(
        self,
        picture_jobs: PictureJobs,
        cached_results: CachedResults,
        admission_control: AdmissionControl,
        waiters: Waiters,
        ready_workers: ReadyWorkers,
        wait_seconds: float,
    ) -> None:
        """`wait_seconds` is how long an upload without preferences waits, at most."""
        self._picture_jobs = picture_jobs
        self._cached_results = cached_results
        self._admission_control = admission_control
        self._waiters = waiters
        self._ready_workers = ready_workers
        self._wait_seconds = wait_seconds

    def submit(
        self,
        preferences: Preferences,
        key: str,
        reading: AbstractContextManager[Upload],
        client_left: Callable[[], bool] = never,
    ) -> Finished | Open | TimedOut:
        """Accept the picture and wait for its job as the client prefers.

        The upload is read by entering `reading`, only if it can be accepted. `key` is the idempotency key, "" for none.
        `client_left` says whether the client has closed the connection.

        Raises:
            ServerUnfit, QueueFull, TooManyWaiters: no job was accepted.
            In addition, the exceptions of `reading` and `PictureJobs.accept`.
        """
        # Read before `preferences` change: without a free slot the request does not wait.
        plain = preferences.plain
        seconds = self._wait_seconds if plain else preferences.wait_seconds or 0
        self._check_room(preferences, key)

        def stops() -> bool:
            return client_left() or (plain and self._ready_workers.absent())

        job_id = new_job_id()
        with self._waiters.slot(wanted=seconds > 0) as may_wait, self._waiters.listen(job_id) as waiter:
            if plain and not may_wait:
                raise TooManyWaiters(NO_SLOT, NO_SLOT_RETRY_AFTER_SECONDS)
            admission = self._accept(job_id, reading, key)
            known = self._known(admission)
            if seconds and not may_wait:
                preferences = preferences.without_wait()
            if not may_wait and not admission.joined:
                return self._just_accepted(admission, preferences, known)
            if admission.joined or admission.known:
                job = self._waiters.wait(admission.job_id, seconds if may_wait else 0, stops)
            else:
                job = self._waiters.wait_for(waiter, seconds, stops)
        if job.state.terminal and may_wait:
            return Finished(job=job, preferences=preferences, known=known)
        if plain:
            return TimedOut(job_id=job.id, no_worker=self._ready_workers.absent(), preferences=preferences, known=known)
        return self._open(job, preferences, known)

    def follow(
        self, job_id: str, preferences: Preferences, owner: str | None, client_left: Callable[[], bool] = never
    ) -> Finished | Open:
        """Return the job once it has ended, or its current state when the client's preferred wait is over.

        Raises:
            UnknownJob, GoneJob: as `PictureJobs.get`.
        """
        # Subscribe before reading the job, so that no completion in between is missed.
        with self._waiters.listen(job_id) as waiter:
            job = self._picture_jobs.get(job_id, owner)
            seconds = 0 if job.state.terminal else preferences.wait_seconds or 0
            with self._waiters.slot(wanted=seconds > 0) as may_wait:
                if may_wait:
                    job = self._waiters.wait_for(waiter, seconds, client_left)
                elif seconds:
                    preferences = preferences.without_wait()
        if job.state.terminal:
            return Finished(job=job, preferences=preferences)
        return self._open(job, preferences)

    def retry(self, job_id: str, owner: str | None, request_id: str) -> Open:
        """Retry a failed job as a new one, or return the job of an earlier retry in its current state.

        Raises:
            ServerUnfit, QueueFull: no job was accepted.
            UnknownJob, GoneJob, NotRetryable, PictureTooLarge: as `PictureJobs.retry`.
        """
        # As with an Idempotency-Key: a repeated retry is answered even when the queue is full.
        self._admission_control.check_server()
        admission = self._picture_jobs.retry(job_id, new_job_id(), owner, request_id)
        if admission.joined:
            return self._open(self._picture_jobs.get(admission.job_id, owner), NO_PREFERENCES)
        return replace(self._just_accepted(admission, NO_PREFERENCES, None), retry_of=job_id)

    def _check_room(self, preferences: Preferences, key: str) -> None:
        if key:
            # A retry joins its first job even when the queue is full; a new job still has to pass the atomic check.
            self._admission_control.check_server()
        else:
            self._admission_control.check(self._wait_seconds if preferences.plain else 0)

    def _accept(self, job_id: str, reading: AbstractContextManager[Upload], key: str) -> Admission:
        # In a method of its own, so that no variable holds the picture while the request waits.
        with reading as upload:
            return self._picture_jobs.accept(job_id, upload, key)

    def _known(self, admission: Admission) -> bool | None:
        return admission.known if self._cached_results.enabled and not admission.joined else None

    def _just_accepted(self, admission: Admission, preferences: Preferences, known: bool | None) -> Open:
        """Return the outcome for a client that does not wait; a job with a cached result has already ended."""
        if admission.known:
            return Open(job_id=admission.job_id, state=JobState.SUCCEEDED, preferences=preferences, known=known)
        return Open(
            job_id=admission.job_id,
            state=JobState.QUEUED,
            position=admission.position,
            no_worker=self._ready_workers.absent(),
            preferences=preferences,
            known=known,
        )

    def _open(self, job: Job, preferences: Preferences, known: bool | None = None) -> Open:
        # A job that was joined may have ended.
        no_worker = self._ready_workers.absent() and not job.state.terminal
        return Open(
            job_id=job.id,
            state=job.state,
            no_worker=no_worker,
            retry_of=job.retry_of,
            preferences=preferences,
            known=known,
        )

"""Submits an upload and decides on the response: the labels, the open job, or a timeout."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from api.admission_control import AdmissionControl
from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.preferences import Preferences
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from api.waiters import Waiters, goes_on
from shared.errors import TooManyWaiters
from shared.jobs.admission import Admission
from shared.jobs.models import Job, JobState

NO_SLOT = "Too many requests are waiting for a result. Try again, or send `Prefer: respond-async` and poll."
NO_SLOT_RETRY_AFTER_SECONDS = 2


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

    `no_worker` is whether the job waits for a worker to start.
    """

    job_id: str
    state: JobState
    position: int | None = None
    no_worker: bool = False


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
        read_upload: Callable[[], Upload],
        client_left: Callable[[], bool] = goes_on,
    ) -> Finished | Open | TimedOut:
        """Accept the picture and wait for its job as the client prefers.

        The upload is read only if it can be accepted. `key` is the idempotency key, "" for none.
        `client_left` says whether the client has closed the connection.

        Raises:
            ServerUnfit, QueueFull, TooManyWaiters: no job was accepted.
            In addition, the exceptions of `read_upload` and `PictureJobs.accept`.
        """
        # Read before `preferences` change: without a free slot the request does not wait.
        plain = preferences.plain
        seconds = self._wait_seconds if plain else preferences.wait_seconds or 0
        self._check_room(preferences, key)

        def gives_up() -> bool:
            return client_left() or (plain and self._ready_workers.absent())

        job_id = new_job_id()
        with self._waiters.slot(wanted=seconds > 0) as may_wait, self._waiters.listen(job_id) as waiter:
            if plain and not may_wait:
                raise TooManyWaiters(NO_SLOT, NO_SLOT_RETRY_AFTER_SECONDS)
            admission = self._picture_jobs.accept(job_id, read_upload(), key)
            known = self._known(admission)
            if seconds and not may_wait:
                preferences = preferences.without_wait()
            if not may_wait and not admission.joined:
                return self._just_accepted(admission, preferences, known)
            if admission.joined or admission.known:
                job = self._waiters.wait(admission.job_id, seconds if may_wait else 0, gives_up)
            else:
                job = self._waiters.wait_for(waiter, seconds, gives_up)
        if job.state.terminal and may_wait:
            return Finished(job=job, preferences=preferences, known=known)
        if plain:
            return TimedOut(job_id=job.id, no_worker=self._ready_workers.absent(), preferences=preferences, known=known)
        return self._open(job, preferences, known)

    def follow(
        self, job_id: str, preferences: Preferences, owner: str | None, client_left: Callable[[], bool] = goes_on
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

    def _check_room(self, preferences: Preferences, key: str) -> None:
        if key:
            # A retry joins its first job even when the queue is full; a new job still has to pass the atomic check.
            self._admission_control.check_server()
        else:
            self._admission_control.check(self._wait_seconds if preferences.plain else 0)

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
        return Open(job_id=job.id, state=job.state, no_worker=no_worker, preferences=preferences, known=known)


def new_job_id() -> str:
    """Return a random, unguessable id."""
    return secrets.token_hex(16)

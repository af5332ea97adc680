"""Runs one job: from its picture to its outcome."""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from billiard.exceptions import SoftTimeLimitExceeded

from shared.errors import ImageMissing, PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from shared.images.store import ImageRefused, ImageStore, forget_picture
from shared.jobs.admission import MAX_TOP
from shared.jobs.claims import ClaimedJob
from shared.jobs.models import Job, Outcome
from shared.log import begin_job, end_job
from shared.result_cache import KnownResult, ResultCache
from worker.decoding.errors import DecodeProcessLost
from worker.inference.labels import Prediction
from worker.jobs.progress import JobProgress
from worker.metrics import WorkerMetrics

# Caused by the picture: another attempt would fail in the same way.
TOO_SLOW_PROBLEM = {
    "status": 422,
    "title": "Picture too expensive",
    "detail": "Decoding the picture takes longer than allowed.",
}
TIME_LIMIT_PROBLEM = {"status": 500, "title": "Time limit", "detail": "The job exceeded its time limit."}

log = logging.getLogger(__name__)


class PictureClassifier(Protocol):
    """The classifier, as the runner uses it."""

    @property
    def model(self) -> Mapping[str, str]:
        """Name and digest of the model."""

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`."""


class JobRunner:
    """Classifies the picture of a claimed job; a bad picture fails only its own job. Threads may share an instance."""

    def __init__(
        self,
        images: ImageStore,
        cache: ResultCache,
        result_version: str,
        metrics: WorkerMetrics,
        progress: JobProgress,
    ) -> None:
        """Results are cached under `result_version` (see `WorkerRecord`)."""
        self._images = images
        self._cache = cache
        self._result_version = result_version
        self._metrics = metrics
        self._progress = progress

    def run(self, claimed: ClaimedJob, classifier: PictureClassifier) -> Outcome:
        """Return the outcome of the job; call `leave` once it is written.

        Errors of a store, and of the time limit outside the classifier, propagate, as does DecodeProcessLost: the
        picture did not cause them. After ImageStoreAway the attempt does not count; after all others, ImageRefused
        included, it does.
        """
        job = claimed.job
        # From here on, log lines have the ids of the job and its request, including Celery's lines about an error.
        begin_job(job.id, job.request_id, job.traceparent)
        self._progress.run(job.id)
        self._metrics.begun(job)
        outcome = self._classify(claimed, classifier)
        self._progress.end()
        return outcome

    def leave(self, job: Job, began: float, *, forget: bool) -> None:
        """Record that the outcome of a job started at `began` is written; with `forget`, delete its picture."""
        self._progress.idle()
        if forget:
            forget_picture(self._images, job.id)
        self._metrics.done(job, time.monotonic() - began)
        end_job()

    def _classify(self, claimed: ClaimedJob, classifier: PictureClassifier) -> Outcome:
        job = claimed.job
        try:
            data = self._picture_of(claimed)
        except ImageMissing as error:
            return Outcome.failed(problem_of(error), picture_lost=True)
        try:
            predictions = classifier.classify(data, max(job.top, MAX_TOP))
        except DecodeProcessLost:
            raise
        except Exception as error:
            problem = problem_of(error)
            if problem["status"] == 500:
                log.error("A job failed.", exc_info=error)
            return Outcome.failed(problem)
        known = KnownResult(as_result(predictions), classifier.model)
        entry = self._cache.entry(self._result_version, job.picture.sha256, known)
        return Outcome.succeeded(known.first(job.top), known.model, entry)

    def _picture_of(self, claimed: ClaimedJob) -> bytes:
        picture = claimed.job.picture
        data = self._images.get(claimed.job.id, claimed.picture)
        # Without this check, a truncated picture from the store would be blamed on the client.
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            log.warning("The image store returned %d bytes, which differ from the %d stored.", len(data), picture.bytes)
            raise ImageRefused("the image store returned other bytes than were stored")
        return data


def as_result(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the result in the format of the original program: prediction_1, prediction_2, …"""
    return {
        f"prediction_{place}": {"confidence_level": found.confidence, "predicted_label": found.label}
        for place, found in enumerate(predictions, start=1)
    }


def problem_of(error: BaseException) -> dict[str, Any]:
    """Return the problem (status, title, detail) shown to clients for a job that failed with `error`."""
    if isinstance(error, UndecodablePicture | UnsupportedPicture):
        return {"status": 422, "title": "Picture cannot be decoded", "detail": str(error)}
    if isinstance(error, PictureTooExpensive):
        return TOO_SLOW_PROBLEM
    if isinstance(error, MemoryError):
        return {"status": 422, "title": "Picture too expensive", "detail": "Decoding needs more memory than allowed."}
    if isinstance(error, SoftTimeLimitExceeded):
        return TIME_LIMIT_PROBLEM
    if isinstance(error, ImageMissing):
        return {"status": 500, "title": "Picture lost", "detail": str(error)}
    return {"status": 500, "title": "Model failed", "detail": "The model could not classify this picture."}

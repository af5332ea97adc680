"""Carries one job from its picture to its outcome."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from billiard.exceptions import SoftTimeLimitExceeded

from shared.errors import ImageMissing, PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from shared.images.store import ImageRefused, ImageStore
from shared.jobs.models import ClaimedJob, Outcome
from shared.result_cache import KnownResult, ResultCache
from shared.worker_registry import WorkerRecord
from worker.decoding.errors import DecodeProcessLost
from worker.inference.labels import Prediction

# As many labels as a request may ask for are kept, whatever this one asked for.
MOST_TOP = 10
# The picture's fault, not the service's: another attempt would end the same way.
TOO_SLOW_PROBLEM = {
    "status": 422,
    "title": "Picture too expensive",
    "detail": "Decoding the picture takes longer than allowed.",
}

log = logging.getLogger(__name__)


class PictureClassifier(Protocol):
    """What the runner needs of a classifier."""

    @property
    def model(self) -> Mapping[str, str]:
        """Name and digest of the model."""

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`."""


class JobRunner:
    """Classifies the picture of a claimed job; a bad picture fails alone."""

    def __init__(
        self, images: ImageStore, cache: ResultCache, classifier: PictureClassifier, record: WorkerRecord
    ) -> None:
        self._images = images
        self._cache = cache
        self._classifier = classifier
        self._record = record

    def run(self, claimed: ClaimedJob) -> Outcome:
        """Return how the job ends.

        What a store or the time limit raises outside the classifier passes through, and so does a lost decoder:
        that is no fault of the picture. ImageStoreAway: the attempt does not count. Everything else, ImageRefused
        among it, counts.
        """
        job = claimed.job
        try:
            data = self._picture_of(claimed)
        except ImageMissing as error:
            return Outcome.failed(problem_of(error))
        try:
            predictions = self._classifier.classify(data, max(job.top, MOST_TOP))
        except DecodeProcessLost:
            raise
        except Exception as error:
            problem = problem_of(error)
            if problem["status"] == 500:
                log.error("A job failed.", exc_info=error)
            return Outcome.failed(problem)
        known = KnownResult(as_result(predictions), self._classifier.model)
        entry = self._cache.entry(self._record.result_version, job.picture.sha256, known)
        return Outcome.succeeded(known.first(job.top), known.model, entry)

    def _picture_of(self, claimed: ClaimedJob) -> bytes:
        picture = claimed.job.picture
        data = self._images.get(claimed.job.id, claimed.picture)
        # Else a half that a store handed out would be called the client's mistake.
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            log.warning("The image store gave %d bytes, not the %d it took.", len(data), picture.bytes)
            raise ImageRefused("the image store gives other bytes than it took")
        return data


def as_result(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the answer in the shape the original program gave: prediction_1, prediction_2, …"""
    return {
        f"prediction_{place}": {"confidence_level": found.confidence, "predicted_label": found.label}
        for place, found in enumerate(predictions, start=1)
    }


def problem_of(error: BaseException) -> dict[str, Any]:
    """Return what a client is told about a job that `error` ended: status, title, detail."""
    if isinstance(error, UndecodablePicture | UnsupportedPicture):
        return {"status": 422, "title": "Picture cannot be decoded", "detail": str(error)}
    if isinstance(error, PictureTooExpensive):
        return TOO_SLOW_PROBLEM
    if isinstance(error, MemoryError):
        return {"status": 422, "title": "Picture too expensive", "detail": "Decoding needs more memory than allowed."}
    if isinstance(error, SoftTimeLimitExceeded):
        return {"status": 500, "title": "Time limit", "detail": "The job ran longer than one job may."}
    if isinstance(error, ImageMissing):
        return {"status": 500, "title": "Picture lost", "detail": str(error)}
    return {"status": 500, "title": "Model failed", "detail": "The model could not classify this picture."}

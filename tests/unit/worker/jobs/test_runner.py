"""Which errors of an image store count as an attempt, and which do not."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import fakeredis
import pytest
from prometheus_client import CollectorRegistry

from shared.errors import ImageMissing
from shared.images.store import ImageRefused, ImageStoreAway, RecordImageStore
from shared.jobs.models import ClaimedJob, ImageInfo, Job, JobState
from shared.jobs.queue import Queue
from shared.result_cache import ResultCache
from worker.inference.labels import Prediction
from worker.jobs.progress import NoProgress
from worker.jobs.runner import JobRunner
from worker.metrics import WorkerMetrics

DATA = b"a picture"


class StubClassifier:
    model: ClassVar = {"name": "stub", "digest": "0"}

    def classify(self, data: bytes, top: int) -> Sequence[Prediction]:
        return [Prediction("label", 0.5)] * top


class Store(RecordImageStore):
    """Gives what it was told, or raises it."""

    def __init__(self, given: bytes | Exception) -> None:
        self._given = given

    def get(self, job_id: str, carried: bytes) -> bytes:
        if isinstance(self._given, Exception):
            raise self._given
        return self._given


def run(given: bytes | Exception) -> JobState:
    picture = ImageInfo(hashlib.sha256(DATA).hexdigest(), "PNG", 1, 1, len(DATA))
    cache = ResultCache(fakeredis.FakeRedis(), Queue(), 100)
    runner = JobRunner(Store(given), cache, "litert-1:d", WorkerMetrics(CollectorRegistry()), NoProgress())
    job = Job("j", JobState.RUNNING, picture, 3, 1, 0, 0, 0, "w", {}, None, None, 1, "", "")
    return runner.run(ClaimedJob(job, b"", "x"), StubClassifier()).state  # type: ignore[arg-type]


def test_the_bytes_that_were_stored_are_classified() -> None:
    assert run(DATA) is JobState.SUCCEEDED


@pytest.mark.parametrize("error", [ImageStoreAway("away"), ImageRefused("denied"), MemoryError()])
def test_a_store_or_a_lack_of_memory_is_no_end_of_the_job(error: Exception) -> None:
    # Then it passes through, and the job is begun again
    with pytest.raises(type(error)):
        run(error)


def test_a_picture_that_is_not_there_any_more_ends_the_job() -> None:
    assert run(ImageMissing("gone")) is JobState.FAILED


@pytest.mark.parametrize("given", [DATA[:-1], b"", b"A picture"])
def test_other_bytes_than_were_stored_are_no_fault_of_the_picture(given: bytes) -> None:
    with pytest.raises(ImageRefused, match="other bytes than it took"):
        run(given)

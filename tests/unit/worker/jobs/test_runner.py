"""How a runner handles errors of the image store, and what it counts."""

import hashlib
import time
from collections.abc import Sequence
from typing import ClassVar

import fakeredis
import pytest
from prometheus_client import CollectorRegistry

from shared.errors import ImageMissing
from shared.images.store import ImageRefused, ImageStoreAway, RecordImageStore
from shared.jobs.claims import ClaimedJob
from shared.jobs.models import ImageInfo, Job, JobState
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


def make_runner(given: bytes | Exception, registry: CollectorRegistry) -> JobRunner:
    cache = ResultCache(fakeredis.FakeRedis(), Queue(), 100)
    return JobRunner(Store(given), cache, "litert-1:d", WorkerMetrics(registry), NoProgress())


def claimed_job() -> ClaimedJob:
    picture = ImageInfo(hashlib.sha256(DATA).hexdigest(), "PNG", 1, 1, len(DATA))
    return ClaimedJob(Job("j", JobState.RUNNING, picture, 3, 1, 0, 0, 0, "w", {}, None, None, 1, "", ""), b"", "x")


def run(given: bytes | Exception) -> JobState:
    runner = make_runner(given, CollectorRegistry())
    return runner.run(claimed_job(), StubClassifier()).state  # type: ignore[arg-type]


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
    with pytest.raises(ImageRefused, match="other bytes than were stored"):
        run(given)


def test_a_job_counts_as_an_attempt_and_its_time_is_recorded() -> None:
    # Given a job that has run
    registry = CollectorRegistry()
    runner, claimed = make_runner(DATA, registry), claimed_job()
    runner.run(claimed, StubClassifier())  # type: ignore[arg-type]
    # When its outcome is written, two seconds after its start
    runner.leave(claimed.job, time.monotonic() - 2, forget=False)
    # Then the metrics have the attempt and the time
    assert registry.get_sample_value("topthree_job_attempts_total") == 1
    assert registry.get_sample_value("topthree_job_seconds_sum") == pytest.approx(2, abs=1)

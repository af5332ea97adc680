"""A job's way through the worker, with a stand-in for the model."""

from typing import Any, ClassVar

import fakeredis
import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded

from shared.admission import Order
from shared.errors import UndecodablePicture
from shared.image_store import RedisImageStore
from shared.job import JobState, Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from shared.result_cache import ResultCache
from shared.workers import WorkerRecord
from worker.job_runner import JobRunner
from worker.labels import Prediction
from worker.lost import DecoderLost

PICTURE = Picture(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4)


class StubClassifier:
    """Answers with the picture's bytes as a label, or raises what it was given."""

    model: ClassVar = {"name": "stub", "digest": "0"}

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return [Prediction(data.decode(), 0.5)] * top


class BrokenStore(RedisImageStore):
    """Raises what it was given whenever a picture is wanted."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, job_id: str) -> bytes:
        raise self.error


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def jobs(server: fakeredis.FakeServer) -> Jobs:
    return Jobs(fakeredis.FakeRedis(server=server, decode_responses=True), JobLimits(10, 10_000, 3, 100, 100))


@pytest.fixture
def images(server: fakeredis.FakeServer) -> RedisImageStore:
    return RedisImageStore(fakeredis.FakeRedis(server=server))


@pytest.fixture
def classifier() -> StubClassifier:
    return StubClassifier()


def make_runner(jobs: Jobs, images: RedisImageStore, classifier: StubClassifier) -> JobRunner:
    record = WorkerRecord("worker-1", "litert", "m", "d", "litert-1:d", 1)
    return JobRunner(jobs, images, ResultCache(jobs._redis, 100), classifier, record, lease_seconds=60)


@pytest.fixture
def runner(jobs: Jobs, images: RedisImageStore, classifier: StubClassifier) -> JobRunner:
    jobs.admit("j", Order(PICTURE, top=2))
    images.put("j", b"data")
    return make_runner(jobs, images, classifier)


def stored(images: RedisImageStore) -> bool:
    return bool(images._redis.exists("image:j"))


def test_a_job_ends_with_its_labels_and_its_picture_is_deleted(runner: JobRunner, jobs: Jobs, images: Any) -> None:
    # When the job is run
    runner.run("j")
    # Then its record holds the answer, the model and the worker
    job = jobs.get("j")
    label = {"confidence_level": 0.5, "predicted_label": "data"}
    assert job.result == {"prediction_1": label, "prediction_2": label}
    assert (job.state, job.model, job.worker) == (JobState.SUCCEEDED, StubClassifier.model, "worker-1")
    assert not stored(images)


def test_a_result_is_left_to_the_cache_with_as_many_labels_as_may_be_asked_for(runner: JobRunner, jobs: Jobs) -> None:
    runner.run("j")
    known = ResultCache(jobs._redis, 100).find("litert-1:d", PICTURE.sha256)
    assert known is not None and (len(known.result), known.model) == (10, StubClassifier.model)


def test_a_failure_is_not_cached(runner: JobRunner, jobs: Jobs, classifier: StubClassifier) -> None:
    classifier.error = UndecodablePicture("cut off")
    runner.run("j")
    assert ResultCache(jobs._redis, 100).find("litert-1:d", PICTURE.sha256) is None


def test_a_second_delivery_is_not_computed(runner: JobRunner, classifier: StubClassifier) -> None:
    runner.run("j")
    runner.run("j")
    assert classifier.calls == 1


def test_a_canceled_job_is_not_computed(runner: JobRunner, jobs: Jobs, classifier: StubClassifier) -> None:
    jobs.cancel("j")
    runner.run("j")
    assert classifier.calls == 0


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (UndecodablePicture("cut off"), 422, "Picture cannot be decoded"),
        (MemoryError(), 422, "Picture too expensive"),
        (SoftTimeLimitExceeded(), 500, "Time limit"),
        (RuntimeError("secret detail"), 500, "Model failed"),
    ],
)
def test_an_error_fails_the_job_with_a_reason(
    runner: JobRunner,
    jobs: Jobs,
    images: Any,
    classifier: StubClassifier,
    error: BaseException,
    status: int,
    title: str,
) -> None:
    # Given a classifier that fails
    classifier.error = error
    # When the job is run
    runner.run("j")
    # Then it failed with the reason, tells no inside, and leaves no picture
    job = jobs.get("j")
    assert job.state is JobState.FAILED
    assert job.problem is not None and (job.problem["status"], job.problem["title"]) == (status, title)
    assert "secret" not in job.problem["detail"]
    assert not stored(images)


def test_a_picture_that_is_gone_fails_the_job(runner: JobRunner, jobs: Jobs, images: RedisImageStore) -> None:
    images.delete("j")
    runner.run("j")
    job = jobs.get("j")
    assert job.problem is not None and job.problem["title"] == "Picture lost"


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), SoftTimeLimitExceeded(), OSError("disk")])
def test_a_store_that_fails_leaves_the_job_to_be_begun_again(
    jobs: Jobs, images: RedisImageStore, classifier: StubClassifier, runner: JobRunner, error: Exception
) -> None:
    # Given a store that goes away, or hangs until the time limit, while the picture is fetched
    broken = BrokenStore(error)
    runner = make_runner(jobs, broken, classifier)
    # When the job is run, Then the error passes through and the job keeps its lease and picture
    with pytest.raises(type(error)):
        runner.run("j")
    assert jobs.get("j").state is JobState.RUNNING
    assert stored(images)


def test_a_lost_decoder_leaves_the_job_to_be_begun_again(
    jobs: Jobs, images: RedisImageStore, classifier: StubClassifier, runner: JobRunner
) -> None:
    # Given a classifier whose decoder dies
    classifier.error = DecoderLost("signal 9")
    # When the job is run, Then the error passes through and the job keeps its lease and picture
    with pytest.raises(DecoderLost):
        runner.run("j")
    assert jobs.get("j").state is JobState.RUNNING
    assert stored(images)

"""A job's way through a consumer of the worker, with a stand-in for the model."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import fakeredis
import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded
from prometheus_client import CollectorRegistry
from structlog.contextvars import get_contextvars

from shared.errors import ImageMissing, PictureTooExpensive, UndecodablePicture
from shared.images.history import StoreHistory
from shared.images.store import ImageStore, RecordImageStore, open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim, Claimed
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState, Outcome
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from tests.support.image_stores import KeepingStore
from tests.support.messages import take_all
from tests.support.wait import take_time
from worker.decoding.errors import DecodeProcessLost
from worker.inference.labels import Prediction
from worker.jobs.consumer import LATE_SHARE, ConsumerTerms, JobConsumer, is_of_delivery
from worker.jobs.foreign import ForeignMessages
from worker.jobs.progress import NoProgress
from worker.jobs.runner import JobRunner
from worker.metrics import WorkerMetrics

PICTURE = ImageInfo(sha256=hashlib.sha256(b"data").hexdigest(), format="JPEG", width=1, height=1, bytes=4)
SHORT_LEASE_SECONDS = 3.0
QUEUE = Queue()


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


class BrokenStore(RecordImageStore):
    """Raises what it was given whenever a picture is wanted."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, job_id: str, carried: bytes) -> bytes:
        raise self.error


class OpenJobs(Jobs):
    """Jobs whose Redis the test uses too."""

    def __init__(self, client: redis.Redis, queue: Queue, limits: JobLimits) -> None:
        super().__init__(client, queue, limits)
        self.client = client


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def jobs(server: fakeredis.FakeServer) -> OpenJobs:
    return OpenJobs(
        fakeredis.FakeRedis(server=server, decode_responses=True), QUEUE, JobLimits(10, 10_000, 3, 100, 100)
    )


@pytest.fixture(params=["carried", "file"])
def images(request: pytest.FixtureRequest, tmp_path: Path, server: fakeredis.FakeServer) -> ImageStore:
    history = StoreHistory(fakeredis.FakeRedis(server=server), QUEUE)
    return open_image_store("redis:" if request.param == "carried" else f"file://{tmp_path}", history, set_up=True)


@pytest.fixture
def classifier() -> StubClassifier:
    return StubClassifier()


@dataclass(frozen=True)
class Child:
    """A consumer and its model, as a child of a worker has them."""

    consumer: JobConsumer
    classifier: StubClassifier

    def run(self, job_id: str, delivery_tag: str = "tag") -> None:
        self.consumer.run(job_id, delivery_tag, self.classifier)


def make_consumer(
    jobs: OpenJobs,
    images: ImageStore,
    classifier: StubClassifier,
    consume_seconds: float = 1,
    lease_seconds: float = 60,
) -> Child:
    metrics = WorkerMetrics(CollectorRegistry())
    cache = ResultCache(jobs.client, QUEUE, 100)
    runner = JobRunner(images, cache, "litert-1:d", metrics, NoProgress())
    foreign = ForeignMessages(jobs.client, QUEUE, metrics)
    return Child(
        JobConsumer(jobs, runner, foreign, ConsumerTerms("worker-1", lease_seconds, consume_seconds)), classifier
    )


@pytest.fixture
def consumer(jobs: OpenJobs, images: ImageStore, classifier: StubClassifier) -> Child:
    jobs.admit("j", JobRequest(PICTURE, top=2), picture=images.put("j", b"data"))
    return make_consumer(jobs, images, classifier)


def stored(jobs: OpenJobs, images: ImageStore) -> bool:
    if isinstance(images, RecordImageStore):
        return bool(jobs.client.exists("image:j"))
    try:
        return bool(images.get("j", b""))
    except ImageMissing:
        return False


def test_a_job_ends_with_its_labels_and_its_picture_is_deleted(
    consumer: Child, jobs: OpenJobs, images: ImageStore
) -> None:
    # When the job is run
    consumer.run("j")
    # Then its record holds the answer, the model and the worker
    job = jobs.get("j")
    label = {"confidence_level": 0.5, "predicted_label": "data"}
    assert job.result == {"prediction_1": label, "prediction_2": label}
    assert (job.state, job.model, job.worker) == (JobState.SUCCEEDED, StubClassifier.model, "worker-1")
    assert not stored(jobs, images)


def test_a_result_is_left_to_the_cache_with_as_many_labels_as_may_be_asked_for(consumer: Child, jobs: OpenJobs) -> None:
    consumer.run("j")
    known = ResultCache(jobs.client, QUEUE, 100).find("litert-1:d", PICTURE.sha256)
    assert known is not None and (len(known.result), known.model) == (10, StubClassifier.model)


def test_a_failure_is_not_cached(consumer: Child, jobs: OpenJobs, classifier: StubClassifier) -> None:
    classifier.error = UndecodablePicture("cut off")
    consumer.run("j")
    assert ResultCache(jobs.client, QUEUE, 100).find("litert-1:d", PICTURE.sha256) is None


def test_a_second_delivery_is_not_computed(consumer: Child, classifier: StubClassifier) -> None:
    consumer.run("j")
    consumer.run("j")
    assert classifier.calls == 1


def test_a_canceled_job_is_not_computed(consumer: Child, jobs: OpenJobs, classifier: StubClassifier) -> None:
    jobs.cancel("j")
    consumer.run("j")
    assert classifier.calls == 0


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (UndecodablePicture("cut off"), 422, "Picture cannot be decoded"),
        (MemoryError(), 422, "Picture too expensive"),
        (PictureTooExpensive("too slow"), 422, "Picture too expensive"),
        (SoftTimeLimitExceeded(), 500, "Time limit"),
        (RuntimeError("secret detail"), 500, "Model failed"),
    ],
)
def test_an_error_fails_the_job_with_a_reason(
    consumer: Child,
    jobs: OpenJobs,
    images: ImageStore,
    classifier: StubClassifier,
    error: BaseException,
    status: int,
    title: str,
) -> None:
    # Given a classifier that fails
    classifier.error = error
    # When the job is run
    consumer.run("j")
    # Then it failed with the reason, tells no inside, and leaves no picture
    job = jobs.get("j")
    assert job.state is JobState.FAILED
    assert job.problem is not None and (job.problem["status"], job.problem["title"]) == (status, title)
    assert "secret" not in job.problem["detail"]
    assert not stored(jobs, images)


def test_a_picture_that_is_gone_fails_the_job(consumer: Child, jobs: OpenJobs, images: ImageStore) -> None:
    images.delete("j")
    jobs.client.delete("image:j")
    consumer.run("j")
    job = jobs.get("j")
    assert job.problem is not None and job.problem["title"] == "Picture lost"


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), SoftTimeLimitExceeded(), OSError("disk")])
def test_a_store_that_fails_leaves_the_job_to_be_begun_again(
    jobs: OpenJobs, images: ImageStore, classifier: StubClassifier, consumer: Child, error: Exception
) -> None:
    # Given a store that goes away, or hangs until the time limit, while the picture is fetched
    broken = BrokenStore(error)
    consumer = make_consumer(jobs, broken, classifier)
    # When the job is run, Then the error passes through and the job keeps its lease and picture
    with pytest.raises(type(error)):
        consumer.run("j")
    assert jobs.get("j").state is JobState.RUNNING
    assert stored(jobs, images)


def test_a_picture_that_cannot_be_deleted_keeps_nobody_from_the_next_job(
    jobs: OpenJobs, classifier: StubClassifier
) -> None:
    # Given jobs, and a store that deletes nothing
    admit_others(jobs, RecordImageStore())
    consumer = make_consumer(jobs, KeepingStore(), classifier)
    # When a consumer begins, Then all are done
    consumer.run("k")
    assert [jobs.get(job).state for job in ("k", "l")] == [JobState.SUCCEEDED] * 2


def test_a_lost_decoder_leaves_the_job_to_be_begun_again(
    jobs: OpenJobs, images: ImageStore, classifier: StubClassifier, consumer: Child
) -> None:
    # Given a classifier whose decoder dies
    classifier.error = DecodeProcessLost("signal 9")
    # When the job is run, Then the error passes through and the job keeps its lease and picture
    with pytest.raises(DecodeProcessLost):
        consumer.run("j")
    assert jobs.get("j").state is JobState.RUNNING
    assert stored(jobs, images)


def admit_others(jobs: OpenJobs, images: ImageStore) -> None:
    for waiting in ("k", "l"):
        jobs.admit(waiting, JobRequest(PICTURE, top=1), picture=images.put(waiting, b"data"))


def states(jobs: OpenJobs) -> list[JobState]:
    return [jobs.get(job_id).state for job_id in "jkl"]


def test_what_is_logged_of_a_job_bears_its_id_and_that_of_its_request(
    jobs: OpenJobs, images: ImageStore, classifier: StubClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    # Given two jobs of different requests, which the model fails, the first of which is delivered twice
    jobs.admit("a", JobRequest(PICTURE, 1, request_id="r-a"), picture=images.put("a", b"data"))
    take_all(jobs.client)
    jobs.admit("b", JobRequest(PICTURE, 1, request_id="r-b"), picture=images.put("b", b"data"))
    classifier.error = RuntimeError("broken")
    seen = []
    caplog.handler.addFilter(lambda line: seen.append((line.getMessage()[:5], get_contextvars())) is None)
    # When they are run
    with caplog.at_level(logging.INFO):
        consumer = make_consumer(jobs, images, classifier)
        consumer.run("a")
        consumer.run("a")
    # Then each line has the ids of its own job and its request, and afterwards there is none
    ids = [{"job_id": job, "request_id": f"r-{job}"} for job in "aba"]
    assert seen == list(zip(["A job", "A job", "A mes"], ids, strict=True))
    assert get_contextvars() == {}


def test_jobs_that_wait_are_run_by_the_same_consumer(
    jobs: OpenJobs, images: ImageStore, classifier: StubClassifier, consumer: Child
) -> None:
    # Given three jobs, the first of which is delivered
    take_all(jobs.client)
    admit_others(jobs, images)
    # When its consumer has ended, Then all have, each by an execution of this delivery
    consumer.run("j", "its tag")
    assert (states(jobs), classifier.calls) == ([JobState.SUCCEEDED] * 3, 3)
    assert all(is_of_delivery(jobs.client.hget(f"job:{job_id}", "execution"), "its tag") for job_id in "jkl")


class UnheardJobs(OpenJobs):
    """Runs claims, and raises `error` in place of their answers."""

    error: Exception = redis.TimeoutError()
    given_back = 0

    def claim(self, claim: Claim, job_id: str = "") -> Claimed:
        super().claim(claim, job_id)
        raise self.error

    def give_back(self, execution: str) -> None:
        self.given_back += 1
        super().give_back(execution)


@pytest.mark.parametrize(
    ("error", "given_back"), [(redis.TimeoutError("late"), 1), (redis.ConnectionError("away"), 0)], ids=["late", "away"]
)
def test_a_claim_is_given_back_unless_redis_was_just_tried_for_seconds(
    server: fakeredis.FakeServer, images: ImageStore, classifier: StubClassifier, error: Exception, given_back: int
) -> None:
    # Given a job whose claim runs, but is not heard
    jobs = UnheardJobs(
        fakeredis.FakeRedis(server=server, decode_responses=True), QUEUE, JobLimits(10, 10_000, 3, 100, 100)
    )
    jobs.error = error
    admit_others(jobs, images)
    # When a child gets it, Then the error goes on, to whoever requeues all jobs of the delivery
    with pytest.raises(type(error)):
        make_consumer(jobs, images, classifier).run("k")
    # And the claim is given back at once, unless that would only take the same time again
    assert jobs.given_back == given_back


class SlowJobs(OpenJobs):
    """The method `slow` answers late, as by a Redis that hangs."""

    slow = ""

    def claim(self, claim: Claim, job_id: str = "") -> Claimed:
        return self._late("claim", super().claim(claim, job_id))

    def end_and_claim(self, job_id: str, outcome: Outcome, execution: str, claim: Claim) -> Claimed:
        return self._late("end_and_claim", super().end_and_claim(job_id, outcome, execution, claim))

    def _late(self, method: str, claimed: Claimed) -> Claimed:
        if method == self.slow:
            take_time(LATE_SHARE * SHORT_LEASE_SECONDS + 0.2)
        return claimed


@pytest.mark.parametrize(
    ("slow", "consume_seconds", "left", "runs"), [("claim", 0, "k", 0), ("end_and_claim", 0.1, "l", 1)]
)
def test_a_job_whose_claim_took_too_long_is_left_to_others(
    server: fakeredis.FakeServer,
    images: ImageStore,
    classifier: StubClassifier,
    slow: str,
    consume_seconds: float,
    left: str,
    runs: int,
) -> None:
    # Given two jobs, the first of them delivered, and a Redis that hangs during one claim
    client = fakeredis.FakeRedis(server=server, decode_responses=True)
    jobs = SlowJobs(client, QUEUE, JobLimits(10, 10_000, 3, 100, 100))
    jobs.slow = slow
    admit_others(jobs, images)
    client.rpop(QUEUE.list_key)
    # When the task is run, Then the job claimed late waits for another task, and its attempt does not count
    make_consumer(jobs, images, classifier, consume_seconds, SHORT_LEASE_SECONDS).run("k")
    assert (jobs.get(left).state, jobs.get(left).attempts, classifier.calls) == (JobState.QUEUED, 0, runs)
    assert left in take_all(client)


@pytest.mark.usefixtures("consumer")
def test_a_consumer_without_time_runs_the_delivered_job_only(
    jobs: OpenJobs, images: ImageStore, classifier: StubClassifier
) -> None:
    # Given jobs that wait, and a consumer that claims none itself
    admit_others(jobs, images)
    one_job = make_consumer(jobs, images, classifier, consume_seconds=0)
    # When the first job is delivered, Then the others wait on
    one_job.run("j")
    assert states(jobs) == [JobState.SUCCEEDED, JobState.QUEUED, JobState.QUEUED]

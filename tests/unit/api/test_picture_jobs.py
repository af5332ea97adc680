"""A picture that cannot be deleted changes nothing of what a client is told."""

import threading
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest

from api.cached_results import CachedResults
from api.picture_jobs import MOST_RETRIES, PictureJobs
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from shared.errors import QueueFull
from shared.images.store import ImageStore
from shared.jobs.admission import JobRequest
from shared.jobs.events import NO_EVENTS
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRegistry
from tests.support.image_stores import KeepingStore
from tests.support.outcomes import fail
from tests.support.wait import eventually, take_time

UPLOAD = Upload(b"data", JobRequest(ImageInfo("0" * 64, "PNG", 1, 1, 4), top=3))


class SlowStore(KeepingStore):
    """Returns pictures when it is told to."""

    def __init__(self) -> None:
        self.reading = 0
        self.free = threading.Event()

    def get(self, job_id: str, carried: bytes) -> bytes:
        self.reading += 1
        self.free.wait(30)
        return b"data"


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, Queue(), JobLimits(1, 10_000, 2, 100, 100, 100, 100))


@pytest.fixture
def picture_jobs(client: fakeredis.FakeRedis, jobs: Jobs) -> PictureJobs:
    return make_picture_jobs(client, jobs, KeepingStore())


def make_picture_jobs(client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore) -> PictureJobs:
    return PictureJobs(
        jobs,
        images,
        CachedResults(ResultCache(client, Queue(), 0), ReadyWorkers(WorkerRegistry(client, Queue()), 0)),
        NO_EVENTS,
    )


def test_a_full_queue_is_told_although_the_picture_stays(picture_jobs: PictureJobs) -> None:
    picture_jobs.accept("a", UPLOAD)
    with pytest.raises(QueueFull):
        picture_jobs.accept("b", UPLOAD)


def test_a_retry_joins_its_job_although_its_picture_stays(picture_jobs: PictureJobs) -> None:
    picture_jobs.accept("a", UPLOAD, "key")
    assert picture_jobs.accept("b", UPLOAD, "key").joined


def test_a_job_is_canceled(picture_jobs: PictureJobs, jobs: Jobs) -> None:
    picture_jobs.accept("a", UPLOAD)
    picture_jobs.cancel("a")
    assert jobs.get("a").state is JobState.CANCELED


def test_few_retries_hold_a_picture_at_a_time(client: fakeredis.FakeRedis, jobs: Jobs) -> None:
    # Given a failed job, and a store that takes its time
    images = SlowStore()
    picture_jobs = make_picture_jobs(client, jobs, images)
    picture_jobs.accept("a", UPLOAD)
    fail(jobs, "a", {"status": 500, "title": "T", "detail": "D"})
    # When many clients retry it at once
    count = 3 * MOST_RETRIES
    with ThreadPoolExecutor(count) as clients:
        answers = [clients.submit(picture_jobs.retry, "a", f"b{number}", None, "") for number in range(count)]
        eventually(lambda: images.reading == MOST_RETRIES, what="retries")
        take_time(0.1)
        # Then few of them read the picture
        assert images.reading == MOST_RETRIES
        images.free.set()
    # And all are told of the same new job
    assert len({answer.result().job_id for answer in answers}) == 1

"""A picture that cannot be deleted changes nothing of what a client is told."""

import fakeredis
import pytest

from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from shared.errors import QueueFull
from shared.jobs.admission import JobRequest
from shared.jobs.events import NO_EVENTS
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRegistry
from tests.support.image_stores import KeepingStore

UPLOAD = Upload(b"data", JobRequest(ImageInfo("0" * 64, "PNG", 1, 1, 4), top=3))


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, Queue(), JobLimits(1, 10_000, 2, 100, 100))


@pytest.fixture
def picture_jobs(client: fakeredis.FakeRedis, jobs: Jobs) -> PictureJobs:
    return PictureJobs(
        jobs,
        KeepingStore(),
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

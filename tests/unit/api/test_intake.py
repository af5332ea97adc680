"""A picture that cannot be deleted changes nothing of what a client is told."""

import fakeredis
import pytest

from api.intake import Intake
from api.lookup import Lookup
from api.uploads import Upload
from shared.admission import Order
from shared.errors import QueueFull
from shared.image_store import ImageStoreAway, RecordImageStore
from shared.job import JobState, Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from shared.queue import Queue
from shared.result_cache import ResultCache
from shared.workers import Workers

UPLOAD = Upload(b"data", Order(Picture("0" * 64, "PNG", 1, 1, 4), top=3))


class KeepingStore(RecordImageStore):
    """Cannot delete."""

    def delete(self, job_id: str) -> None:
        raise ImageStoreAway("Read-only file system")


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, Queue(), JobLimits(1, 10_000, 2, 100, 100))


@pytest.fixture
def intake(client: fakeredis.FakeRedis, jobs: Jobs) -> Intake:
    return Intake(
        jobs, KeepingStore(), Lookup(ResultCache(client, Queue(), 0), Workers(client, Queue())), lambda _: None
    )


def test_a_full_queue_is_called_so(intake: Intake) -> None:
    intake.accept("a", UPLOAD)
    with pytest.raises(QueueFull):
        intake.accept("b", UPLOAD)


def test_a_retry_joins_its_job(intake: Intake) -> None:
    intake.accept("a", UPLOAD, "key")
    assert intake.accept("b", UPLOAD, "key").joined


def test_a_job_is_canceled(intake: Intake, jobs: Jobs) -> None:
    intake.accept("a", UPLOAD)
    intake.cancel("a")
    assert jobs.get("a").state is JobState.CANCELED

"""A picture that cannot be deleted changes nothing of what a client is told."""

import fakeredis
import pytest

from api.cached_results import Lookup
from api.job_submission import Intake
from api.uploads import Upload
from shared.errors import QueueFull
from shared.images.store import ImageStoreAway, RecordImageStore
from shared.jobs.admission import Order
from shared.jobs.limits import JobLimits
from shared.jobs.models import JobState, Picture
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from shared.worker_registry import Workers

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

"""Jobs that were left behind are published again, by one worker at a time."""

import fakeredis
import pytest

from shared.admission import Order
from shared.image_store import RedisImageStore
from shared.job import JobState, Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from tests.support.wait import eventually
from worker.repair import REPAIR_LEASE_KEY, Repair

PICTURE = Picture(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4)


class StubQueue:
    def __init__(self) -> None:
        self.published: list[str] = []

    def enqueue(self, job_id: str) -> None:
        self.published.append(job_id)


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, JobLimits(10, 10_000, 2, 100, 100))


@pytest.fixture
def queue() -> StubQueue:
    return StubQueue()


@pytest.fixture
def images(client: fakeredis.FakeRedis) -> RedisImageStore:
    return RedisImageStore(client)


@pytest.fixture
def repair(client: fakeredis.FakeRedis, jobs: Jobs, queue: StubQueue, images: RedisImageStore) -> Repair:
    return Repair(client, jobs, queue, images)  # type: ignore[arg-type]


def test_a_job_whose_lease_ended_is_published_again_and_fails_in_the_end(
    client: fakeredis.FakeRedis, jobs: Jobs, queue: StubQueue, images: RedisImageStore, repair: Repair
) -> None:
    # Given a job that loses its worker every time
    jobs.admit("j", Order(PICTURE, 3))
    images.put("j", b"data")
    jobs.begin("j", "x1", "w", lease_seconds=0)
    # When a round is done
    assert repair.run_once() == ["j"]
    # Then it was published and can be begun again
    assert queue.published == ["j"]
    jobs.begin("j", "x2", "w", lease_seconds=0)
    # And when its attempts are used up, it fails and is not published
    client.delete(REPAIR_LEASE_KEY)
    assert repair.run_once() == []
    assert jobs.get("j").state is JobState.FAILED
    assert not client.exists("image:j")


def test_only_one_worker_repairs_at_a_time(
    client: fakeredis.FakeRedis, jobs: Jobs, queue: StubQueue, images: RedisImageStore
) -> None:
    # Given two workers and a job to repair
    first, second = (Repair(client, jobs, queue, images) for _ in range(2))  # type: ignore[arg-type]
    first.run_once()
    jobs.admit("j", Order(PICTURE, 3))
    jobs.begin("j", "x", "w", lease_seconds=0)
    # When the second comes right after the first, Then it leaves the round out
    assert second.run_once() == []


def test_a_queued_job_past_its_deadline_expires_and_its_picture_goes(
    jobs: Jobs, repair: Repair, images: RedisImageStore, client: fakeredis.FakeRedis
) -> None:
    # Given a job whose deadline passes while no worker comes to it
    jobs.admit("j", Order(PICTURE, 3, deadline_seconds=0.001))
    images.put("j", b"data")
    eventually(jobs.past_deadline)
    # When a round is done
    repair.run_once()
    # Then it has expired
    assert jobs.get("j").state is JobState.EXPIRED
    assert not client.exists("image:j")


def test_a_job_at_its_time_limit_is_not_begun_again(jobs: Jobs, queue: StubQueue, repair: Repair) -> None:
    jobs.admit("j", Order(PICTURE, 3))
    jobs.begin("j", "x", "w", lease_seconds=60)
    repair.give_up("j", {"status": 500, "title": "Time limit", "detail": "Too long."})
    assert (jobs.get("j").state, queue.published) == (JobState.FAILED, [])


def test_the_job_of_a_lost_process_is_handed_back_at_once(jobs: Jobs, queue: StubQueue, repair: Repair) -> None:
    # Given a job under a live lease
    jobs.admit("j", Order(PICTURE, 3))
    jobs.begin("j", "x", "w", lease_seconds=60)
    # When the parent sees its process die
    repair.hand_back("j", "killed")
    # Then nobody waits for the lease
    assert (jobs.get("j").state, queue.published) == (JobState.QUEUED, ["j"])

"""Jobs that were left behind are published again, by one worker at a time."""

import fakeredis
import pytest

from shared.job import JobState, Picture
from shared.jobs import JobLimits, Jobs
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
    return Jobs(client, JobLimits(10, 2, 100, 100))


@pytest.fixture
def queue() -> StubQueue:
    return StubQueue()


def test_a_job_whose_lease_ended_is_published_again_and_fails_in_the_end(
    client: fakeredis.FakeRedis, jobs: Jobs, queue: StubQueue
) -> None:
    # Given a job that loses its worker every time
    repair = Repair(client, jobs, queue)  # type: ignore[arg-type]
    jobs.admit("j", PICTURE, 3)
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


def test_only_one_worker_repairs_at_a_time(client: fakeredis.FakeRedis, jobs: Jobs, queue: StubQueue) -> None:
    # Given two workers and a job to repair
    first, second = (Repair(client, jobs, queue) for _ in range(2))  # type: ignore[arg-type]
    first.run_once()
    jobs.admit("j", PICTURE, 3)
    jobs.begin("j", "x", "w", lease_seconds=0)
    # When the second comes right after the first, Then it leaves the round out
    assert second.run_once() == []

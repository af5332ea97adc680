"""Jobs that were left behind are published again, by one worker at a time."""

from pathlib import Path

import fakeredis
import pytest

from shared.admission import Order
from shared.errors import ImageMissing
from shared.image_store import ImageStore, open_image_store
from shared.job import Claim, JobState, Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from shared.store_history import StoreHistory
from tests.support.messages import take_all
from tests.support.wait import eventually
from worker.left_behind import LeftBehind
from worker.repair import REPAIR_LEASE_KEY, Repair
from worker.shift import execution_of

PICTURE = Picture(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4)


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, JobLimits(10, 10_000, 2, 100, 100))


@pytest.fixture
def images(tmp_path: Path, client: fakeredis.FakeRedis) -> ImageStore:
    return open_image_store(f"file://{tmp_path}", StoreHistory(client), set_up=True)


@pytest.fixture
def repair(client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore) -> Repair:
    return Repair(client, jobs, images, lambda *_: None)


def stored(images: ImageStore) -> bool:
    try:
        return bool(images.get("j", b""))
    except ImageMissing:
        return False


def test_a_job_whose_lease_ended_is_published_again_and_fails_in_the_end(
    client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore, repair: Repair
) -> None:
    # Given a job that loses its worker every time
    jobs.admit("j", Order(PICTURE, 3))
    images.put("j", b"data")
    take_all(client)
    jobs.begin("j", Claim("x1", "w", 0))
    # When a round is done
    assert repair.run_once() == ["j"]
    # Then it was published and can be begun again
    assert take_all(client) == ["j"]
    jobs.begin("j", Claim("x2", "w", 0))
    # And when its attempts are used up, it fails and is not published
    client.delete(REPAIR_LEASE_KEY)
    assert repair.run_once() == []
    assert jobs.get("j").state is JobState.FAILED
    assert not stored(images)


def test_only_one_worker_repairs_at_a_time(client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore) -> None:
    # Given two workers and a job to repair
    first, second = (Repair(client, jobs, images, lambda *_: None) for _ in range(2))
    first.run_once()
    jobs.admit("j", Order(PICTURE, 3))
    jobs.begin("j", Claim("x", "w", 0))
    # When the second comes right after the first, Then it leaves the round out
    assert second.run_once() == []


def test_a_queued_job_past_its_deadline_expires_and_its_picture_goes(
    jobs: Jobs, repair: Repair, images: ImageStore, client: fakeredis.FakeRedis
) -> None:
    # Given a job whose deadline passes while no worker comes to it
    jobs.admit("j", Order(PICTURE, 3, deadline_seconds=0.001))
    images.put("j", b"data")
    eventually(LeftBehind(client).past_deadline)
    # When a round is done
    repair.run_once()
    # Then it has expired
    assert jobs.get("j").state is JobState.EXPIRED
    assert not stored(images)


def test_a_job_at_its_time_limit_is_not_begun_again(client: fakeredis.FakeRedis, jobs: Jobs, repair: Repair) -> None:
    jobs.admit("j", Order(PICTURE, 3))
    take_all(client)
    jobs.begin("j", Claim(execution_of("j"), "w", 60))
    repair.give_up("w", "j", {"status": 500, "title": "Time limit", "detail": "Too long."})
    assert (jobs.get("j").state, take_all(client)) == (JobState.FAILED, [])


def test_the_job_of_a_lost_process_is_handed_back_at_once(
    client: fakeredis.FakeRedis, jobs: Jobs, repair: Repair
) -> None:
    # Given a worker with two children, the shift of one of which has come to its second job; and another worker
    for job_id in ("first", "second", "other child", "elsewhere"):
        jobs.admit(job_id, Order(PICTURE, 3))
    take_all(client)
    jobs.begin("second", Claim(execution_of("first"), "w", 60))
    jobs.begin("other child", Claim(execution_of("other child"), "w", 60))
    jobs.begin("elsewhere", Claim(execution_of("first"), "w2", 60))
    # When the parent sees the child die
    repair.hand_back("w", "first", "killed")
    # Then nobody waits for its lease, and the others run on
    assert (jobs.get("second").state, take_all(client)) == (JobState.QUEUED, ["second"])
    assert jobs.get("other child").state is jobs.get("elsewhere").state is JobState.RUNNING

"""Stalled jobs are published again, by one worker at a time."""

import time
from pathlib import Path

import fakeredis
import pytest

from shared.errors import GoneJob, ImageMissing
from shared.images.history import StoreHistory
from shared.images.store import ImageStore, open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.events import NO_EVENTS, JobEvents
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import CLOCK_KEY, KEPT_KEY, LEASES_KEY
from shared.jobs.store import Jobs
from shared.tracing import NO_TRACING, Tracing
from tests.support.claims import claim_job
from tests.support.kept_spans import KeptSpans
from tests.support.messages import take_all
from tests.support.wait import eventually
from worker.jobs.consumer import execution_of
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.stalled import StalledJobs
from worker.jobs.turns import Turns

PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4)


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def jobs(client: fakeredis.FakeRedis) -> Jobs:
    return Jobs(client, Queue(), JobLimits(10, 10_000, 2, 100, 100))


@pytest.fixture
def images(tmp_path: Path, client: fakeredis.FakeRedis) -> ImageStore:
    return open_image_store(f"file://{tmp_path}", StoreHistory(client, Queue()), set_up=True)


@pytest.fixture
def reaper(client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore) -> Reaper:
    return make_reaper(client, jobs, images)


def make_reaper(
    client: fakeredis.FakeRedis,
    jobs: Jobs,
    images: ImageStore,
    events: JobEvents = NO_EVENTS,
    tracing: Tracing = NO_TRACING,
) -> Reaper:
    turns = Turns(client, Queue(), REAP_SECONDS)
    return Reaper(turns, jobs, StalledJobs(client, Queue()), images, events, tracing)


class SeenEvents(JobEvents):
    """Records how many jobs were requeued, and why."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def requeued(self, reason: str, count: int) -> None:
        self.seen.append((reason, count))


def stored(images: ImageStore) -> bool:
    try:
        return bool(images.get("j", b""))
    except ImageMissing:
        return False


def test_a_job_whose_lease_ended_is_published_again_and_fails_in_the_end(
    client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore, reaper: Reaper
) -> None:
    # Given a job that loses its worker every time
    jobs.admit("j", JobRequest(PICTURE, 3))
    images.put("j", b"data")
    take_all(client)
    claim_job(jobs, "j", Claim("x1", "w", 0))
    # When a round is done
    assert reaper.run_once() == ["j"]
    # Then it was published and can be claimed again, with its picture
    assert take_all(client) == ["j"]
    assert stored(images)
    claim_job(jobs, "j", Claim("x2", "w", 0))
    # And when its attempts are used up, it fails and is not published
    client.delete(CLOCK_KEY)
    assert reaper.run_once() == []
    assert jobs.get("j").state is JobState.FAILED
    assert not stored(images)


def test_the_picture_of_a_failed_job_stays_for_a_retry_until_its_time_is_over(
    client: fakeredis.FakeRedis, images: ImageStore
) -> None:
    # Given a service that keeps pictures, and a job that loses its worker every time
    jobs = Jobs(client, Queue(), JobLimits(10, 10_000, 1, 100, 100, 100, 100))
    reaper = make_reaper(client, jobs, images)
    jobs.admit("j", JobRequest(PICTURE, 3))
    images.put("j", b"data")
    claim_job(jobs, "j", Claim("x1", "w", 0))
    # When it fails, Then its picture stays
    reaper.run_once()
    assert jobs.get("j").state is JobState.FAILED
    assert stored(images) and jobs.kept.contains("j")
    # And when its time is over, a round deletes it
    client.zadd(KEPT_KEY, {"j": 1})
    client.delete(CLOCK_KEY)
    reaper.run_once()
    assert not stored(images) and not jobs.kept.contains("j")


def test_no_lease_ends_at_the_first_look_of_all(client: fakeredis.FakeRedis, jobs: Jobs, reaper: Reaper) -> None:
    # Given a job that runs, and a clock that was set ahead before anybody looked
    jobs.admit("j", JobRequest(PICTURE, 3))
    claim_job(jobs, "j", Claim("x", "w", 60))
    client.zadd(LEASES_KEY, {"j": 1})
    # When a round is done, Then the job is left alone, and its lease ends as late as any
    assert reaper.run_once() == []
    assert jobs.get("j").state is JobState.RUNNING
    assert (client.zscore(LEASES_KEY, "j") or 0) / 1000 == pytest.approx(time.time() + 60, abs=10)


def test_only_one_worker_reaps_at_a_time(client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore) -> None:
    # Given two workers and a stalled job
    first, second = (make_reaper(client, jobs, images) for _ in range(2))
    first.run_once()
    jobs.admit("j", JobRequest(PICTURE, 3))
    claim_job(jobs, "j", Claim("x", "w", 0))
    # When the second comes right after the first, Then it leaves the round out
    assert second.run_once() == []


def test_a_queued_job_past_its_deadline_expires_and_its_picture_goes(
    jobs: Jobs, reaper: Reaper, images: ImageStore, client: fakeredis.FakeRedis
) -> None:
    # Given a job whose deadline passes while no worker comes to it
    jobs.admit("j", JobRequest(PICTURE, 3, deadline_seconds=0.001))
    images.put("j", b"data")
    eventually(lambda: StalledJobs(client, Queue()).past_deadline(int(time.time() * 1000)))
    # When a round is done
    reaper.run_once()
    # Then it has expired
    assert jobs.get("j").state is JobState.EXPIRED
    assert not stored(images)


def test_a_job_at_its_time_limit_fails_and_is_not_requeued(
    client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore, reaper: Reaper
) -> None:
    jobs.admit("j", JobRequest(PICTURE, 3))
    images.put("j", b"data")
    take_all(client)
    claim_job(jobs, "j", Claim("t:1", "w", 60))
    reaper.fail("j", "t:1", {"status": 500, "title": "Time limit", "detail": "Too long."})
    assert (jobs.get("j").state, take_all(client)) == (JobState.FAILED, [])
    assert not stored(images)


def test_a_canceled_job_leaves_no_picture(jobs: Jobs, images: ImageStore, reaper: Reaper) -> None:
    # Given a queued job
    jobs.admit("j", JobRequest(PICTURE, 3))
    images.put("j", b"data")
    # When it is canceled, Then its picture is deleted
    assert reaper.cancel("j")
    assert jobs.get("j").state is JobState.CANCELED
    assert not stored(images)
    # And it cannot be canceled again
    assert not reaper.cancel("j")


def test_the_jobs_of_a_lost_process_are_known(jobs: Jobs, reaper: Reaper) -> None:
    # Given a worker with two children, one of which runs the second job of its delivery; and another worker
    for job_id in ("second", "other child", "elsewhere"):
        jobs.admit(job_id, JobRequest(PICTURE, 3))
    execution = execution_of("tag")
    claim_job(jobs, "second", Claim(execution, "w", 60))
    claim_job(jobs, "other child", Claim(execution_of("other tag"), "w", 60))
    claim_job(jobs, "elsewhere", Claim(execution_of("tag"), "w2", 60))
    # When the parent sees the child die, Then it knows what the child held
    assert reaper.held("w", "tag") == {"second": execution}


def test_the_job_of_a_lost_process_is_requeued_at_once(client: fakeredis.FakeRedis, jobs: Jobs, reaper: Reaper) -> None:
    jobs.admit("j", JobRequest(PICTURE, 3))
    take_all(client)
    claim_job(jobs, "j", Claim("t:1", "w", 60))
    reaper.requeue("j", "t:1", "killed")
    assert (jobs.get("j").state, take_all(client)) == (JobState.QUEUED, ["j"])


def test_lost_attempts_and_lost_messages_are_counted_by_reason(
    client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore
) -> None:
    # Given a queued job whose message was lost, and two running jobs
    for job_id in ("no message", "killed", "store away"):
        jobs.admit(job_id, JobRequest(PICTURE, 3))
    take_all(client)
    client.hset("job:no message", "published_ms", 1)
    claim_job(jobs, "killed", Claim("x1", "w", 60))
    claim_job(jobs, "store away", Claim("x2", "w", 60))
    events = SeenEvents()
    reaper = make_reaper(client, jobs, images, events)
    # When the running jobs are requeued, one of them uncounted, and the reaper runs once
    reaper.requeue("killed", "x1", "killed")
    reaper.requeue_uncounted("store away", "x2", "store away", publish=False)
    assert reaper.run_once() == ["no message"]
    # Then an event was reported for the lost attempt and for the lost message
    assert events.seen == [("lost", 1), ("overtaken", 1)]
    # And none for the last attempt, after which the job fails
    claim_job(jobs, "killed", Claim("x3", "w", 60))
    reaper.requeue("killed", "x3", "killed")
    assert (jobs.get("killed").state, len(events.seen)) == (JobState.FAILED, 2)


def test_lost_attempts_and_the_ends_of_the_reaper_are_in_the_traces_of_their_jobs(
    client: fakeredis.FakeRedis, jobs: Jobs, images: ImageStore
) -> None:
    # Given jobs that may be begun twice, each with a trace
    for job_id in ("lost", "slow", "canceled"):
        jobs.admit(job_id, JobRequest(PICTURE, 3, traceparent=f"00-{job_id}-0-01"))
    jobs.admit("late", JobRequest(PICTURE, 3, traceparent="00-late-0-01", deadline_seconds=0.001))
    eventually(lambda: StalledJobs(client, Queue()).past_deadline(int(time.time() * 1000)))
    spans = KeptSpans()
    reaper = make_reaper(client, jobs, images, tracing=spans)
    # When one loses its process twice, one takes too long, one is canceled, and the deadline of one has passed
    for attempt in (1, 2):
        claim_job(jobs, "lost", Claim(f"x{attempt}", "w", 60))
        reaper.requeue("lost", f"x{attempt}", "killed")
    claim_job(jobs, "slow", Claim("x3", "w", 60))
    reaper.fail("slow", "x3", {"status": 500, "title": "Time limit", "detail": "Too long."})
    reaper.cancel("canceled")
    reaper.run_once()
    # Then each is told in its trace
    assert spans.steps == [
        ("lost attempt", "00-lost-0-01", "killed"),
        ("lost attempt", "00-lost-0-01", "killed"),
        ("end", "00-lost-0-01", "killed"),
        ("end", "00-slow-0-01", "Time limit"),
        ("end", "00-canceled-0-01", ""),
        ("end", "00-late-0-01", ""),
    ]
    assert all(0 <= seconds < 60 for seconds in spans.seconds)
    # And what changes nothing leaves no trace
    reaper.requeue("lost", "x1", "killed")
    reaper.cancel("canceled")
    assert len(spans.steps) == 6


def test_an_accepted_job_whose_record_was_evicted_is_logged_and_gone(
    client: fakeredis.FakeRedis, jobs: Jobs, reaper: Reaper, caplog: pytest.LogCaptureFixture
) -> None:
    # Given an open job that has lost its record
    jobs.admit("j", JobRequest(PICTURE, 3, deadline_seconds=60))
    client.delete("job:j")
    # When a round is done
    assert reaper.run_once() == []
    # Then nothing of it is counted any more, its id is gone, and the log says so
    assert "j is missing" in caplog.text
    with pytest.raises(GoneJob):
        jobs.get("j")
    assert not [key for key in client.keys("jobs:*") if key != "jobs:drain"]

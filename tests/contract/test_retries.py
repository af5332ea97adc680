"""Pictures of failed jobs are kept within bounds, and each such job is retried once: in two stores."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.errors import GoneJob, NotRetryable, QueueFull
from shared.images.history import StoreHistory
from shared.images.store import ImageStore, forget_picture, open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.limits import JobLimits
from shared.jobs.models import Ended, ImageInfo, JobState, Outcome, Requeued
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import BYTES_KEY, KEPT_BYTES_KEY, KEPT_KEY
from shared.jobs.retries import Retries, admit_picture
from shared.jobs.store import Jobs
from shared.tracing import Inside
from tests.support.claims import claim_job, new_claim
from tests.support.outcomes import fail, succeed
from tests.support.processes import RedisServer
from tests.support.turned_clock import TurnedClock
from tests.support.twice import TwiceRedis

DATA = b"\xff a picture"
TRACE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
PICTURE = ImageInfo(hashlib.sha256(DATA).hexdigest(), "PNG", 1, 1, len(DATA))
REQUEST = JobRequest(
    PICTURE, top=5, deadline_seconds=50, owner="alice", request_id="r1", traceparent=TRACE, min_confidence=0.25
)
KEPT_SECONDS, RESULT_SECONDS, GONE_SECONDS = 500, 100, 300
LIMITS = JobLimits(5, 5_000, 3, RESULT_SECONDS, GONE_SECONDS - RESULT_SECONDS, KEPT_SECONDS, 3 * len(DATA))
QUEUE = Queue("r:")
OWN_FAULT = {"status": 500, "title": "Model failed", "detail": "D"}
MODEL = {"name": "m", "digest": "d"}


@pytest.fixture(params=["", "every request twice"])
def client(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as client:
        client.flushall()
        yield TwiceRedis(client) if request.param else client


@pytest.fixture(params=["redis", "folder"])
def images(request: pytest.FixtureRequest, client: Any, tmp_path: Path) -> ImageStore:
    url = "redis:" if request.param == "redis" else f"file://{tmp_path}/pictures"
    return open_image_store(url, StoreHistory(client, QUEUE), set_up=True)


@pytest.fixture
def jobs(client: Any) -> Jobs:
    return Jobs(client, QUEUE, LIMITS)


@pytest.fixture
def retries(jobs: Jobs, images: ImageStore) -> Retries:
    return Retries(jobs, images)


def name(letter: str) -> str:
    return letter * 32


A, B, C, D = map(name, "abcd")


def accept(jobs: Jobs, images: ImageStore, *job_ids: str) -> None:
    for job_id in job_ids:
        admit_picture(jobs, images, job_id, REQUEST, None, DATA)


def break_down(jobs: Jobs, images: ImageStore, *job_ids: str, problem: Any = OWN_FAULT) -> None:
    """Accept jobs and let them fail as a worker does."""
    accept(jobs, images, *job_ids)
    for job_id in job_ids:
        if fail(jobs, job_id, problem) is Ended.YES:
            forget_picture(images, job_id)


def picture_of(jobs: Jobs, images: ImageStore, job_id: str) -> bytes:
    """Return the picture as the worker gets it that claims the job."""
    claimed = claim_job(jobs, job_id)
    assert claimed is not None
    return images.get(job_id, claimed.picture)


def kept(client: Any) -> tuple[list[str], dict[str, int]]:
    sizes = client.hgetall(QUEUE.key(KEPT_BYTES_KEY))
    return client.zrange(QUEUE.key(KEPT_KEY), 0, -1), {name: int(size) for name, size in sizes.items()}


def test_a_job_that_failed_by_a_fault_of_the_service_is_done_again(
    jobs: Jobs, images: ImageStore, retries: Retries, client: Any
) -> None:
    # Given a job whose model failed
    break_down(jobs, images, A)
    assert kept(client) == ([A], {A: len(DATA), "total": len(DATA)})
    # When it is retried
    admission = retries.retry(jobs.get(A), B, "r2")
    # Then there is a new job, with the request of the first and its picture, and nothing is kept any more
    assert (admission.job_id, admission.joined) == (B, False)
    again = jobs.get(B)
    assert (again.state, again.retry_of, again.request_id) == (JobState.QUEUED, A, "r2")
    assert (again.picture, again.top, again.min_confidence, again.owner) == (PICTURE, 5, 0.25, "alice")
    assert kept(client) == ([], {})
    assert picture_of(jobs, images, B) == DATA
    assert int(client.get(QUEUE.key(BYTES_KEY))) == len(DATA)
    # And it belongs to the trace of the failed one, which is still that
    assert again.traceparent == TRACE
    assert (jobs.get(A).state, jobs.get(A).problem) == (JobState.FAILED, OWN_FAULT)


def test_a_retry_within_a_request_belongs_to_its_trace(jobs: Jobs, images: ImageStore, retries: Retries) -> None:
    break_down(jobs, images, A)
    with Inside("00-other-0-01"):
        retries.retry(jobs.get(A), B, "r2")
    assert jobs.get(B).traceparent == "00-other-0-01"


def test_whoever_asks_twice_gets_the_same_new_job(jobs: Jobs, images: ImageStore, retries: Retries) -> None:
    # Given a job that was retried
    break_down(jobs, images, A)
    job = jobs.get(A)
    retries.retry(job, B)
    # When it is retried again, before and after the new job has ended, Then it is the same
    for _ in range(2):
        again = retries.retry(job, C)
        assert (again.job_id, again.joined) == (B, True)
        succeed(jobs, B, {}, MODEL)
    first = retries.earlier(job)
    assert first is not None
    assert first.job_id == B


@pytest.mark.parametrize("deleted", [False, True])
def test_a_retry_that_was_admitted_unheard_is_joined(
    jobs: Jobs, images: ImageStore, client: Any, deleted: bool
) -> None:
    # Given a caller that was ended when the new job was admitted, before the picture was deleted, or right after that
    class CutOff(Retries):
        def forget(self, job_id: str) -> bool:
            if deleted:
                forget_picture(images, job_id)
            return False

    break_down(jobs, images, A)
    job = jobs.get(A)
    CutOff(jobs, images).retry(job, B)
    retries = Retries(jobs, images)
    # When the next one comes, Then it joins, and nothing is left of it
    assert retries.retry(job, C).job_id == B
    assert kept(client) == ([], {})
    assert int(client.get(QUEUE.key(BYTES_KEY))) == len(DATA)
    assert picture_of(jobs, images, B) == DATA


def test_a_retry_may_fail_and_be_retried(jobs: Jobs, images: ImageStore, retries: Retries) -> None:
    break_down(jobs, images, A)
    retries.retry(jobs.get(A), B)
    fail(jobs, B, OWN_FAULT)
    assert retries.retry(jobs.get(B), C).job_id == C
    assert (jobs.get(C).retry_of, retries.retry(jobs.get(A), D).job_id) == (B, B)
    assert picture_of(jobs, images, C) == DATA


def test_without_room_in_the_queue_the_picture_stays(jobs: Jobs, images: ImageStore, retries: Retries) -> None:
    # Given a full queue and a failed job
    break_down(jobs, images, A)
    accept(jobs, images, *map(name, "56789"))
    # When it is retried, Then it is refused, and later it is not
    with pytest.raises(QueueFull):
        retries.retry(jobs.get(A), B)
    jobs.cancel(name("5"))
    assert retries.retry(jobs.get(A), B).job_id == B
    assert picture_of(jobs, images, B) == DATA


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda _: None, "has not ended"),
        (lambda jobs: succeed(jobs, A, {}, MODEL), "succeeded"),
        (lambda jobs: jobs.cancel(A), "canceled"),
        (lambda jobs: jobs.expire_all([A]), "deadline"),
        (lambda jobs: fail(jobs, A, {"status": 422, "title": "T", "detail": "D"}), "because of its picture"),
    ],
)
def test_other_jobs_are_not_retried(
    jobs: Jobs, images: ImageStore, retries: Retries, client: Any, end: Any, words: str
) -> None:
    accept(jobs, images, A)
    end(jobs)
    with pytest.raises(NotRetryable, match=words):
        retries.retry(jobs.get(A), B)
    assert kept(client) == ([], {})


@pytest.mark.parametrize("loss", ["no image", "off", "lost picture", "forgotten"])
def test_a_job_without_its_picture_is_gone(client: Any, images: ImageStore, loss: str) -> None:
    # Given a failed job whose picture was not kept, or is there no more
    limits = replace(LIMITS, failed_image_ttl_seconds=0) if loss == "off" else LIMITS
    jobs = Jobs(client, QUEUE, limits)
    retries = Retries(jobs, images)
    accept(jobs, images, A)
    if jobs.end(A, Outcome.failed(OWN_FAULT, picture_lost=loss == "lost picture")) is Ended.YES:
        forget_picture(images, A)
    if loss == "forgotten":
        retries.forget(A)
    if loss == "no image":
        client.delete(QUEUE.key(f"image:{A}"))
        images.delete(A)
    # When it is retried, Then it says so
    with pytest.raises(GoneJob, match="not in the image store" if loss == "no image" else "no longer kept"):
        retries.retry(jobs.get(A), B)
    # And there is nothing of it
    assert not client.exists(QUEUE.key(f"image:{A}")) and not jobs.kept.carried(A)


def test_pictures_are_kept_up_to_the_bounds(jobs: Jobs, images: ImageStore, client: Any) -> None:
    # Given room for three pictures
    # When more jobs fail, Then those that are there stay, and the others are not kept
    break_down(jobs, images, A, B, C, D)
    assert jobs.kept.job_ids() == [A, B, C]
    assert kept(client)[1]["total"] == 3 * len(DATA)
    assert (jobs.get(C).kept_until_ms > 0, jobs.get(D).kept_until_ms) == (True, 0)
    # And their number is limited like that of open jobs
    jobs = Jobs(client, QUEUE, replace(LIMITS, max_open_jobs=3, max_failed_image_bytes=10**9))
    break_down(jobs, images, name("e"))
    assert name("e") not in jobs.kept.job_ids()


def test_a_record_lasts_as_long_as_its_picture(jobs: Jobs, images: ImageStore, client: Any) -> None:
    break_down(jobs, images, A)
    break_down(jobs, images, B, problem={"status": 422, "title": "T", "detail": "D"})
    ttls = {job_id: client.ttl(QUEUE.key(f"job:{job_id}")) for job_id in (A, B)}
    assert KEPT_SECONDS - 10 < ttls[A] <= KEPT_SECONDS and ttls[B] <= RESULT_SECONDS
    tombstone = client.ttl(QUEUE.key(f"gone:{A}"))
    assert abs(tombstone - ttls[A] - (GONE_SECONDS - RESULT_SECONDS)) <= 1
    if client.exists(QUEUE.key(f"image:{A}")):
        assert KEPT_SECONDS - 10 < client.ttl(QUEUE.key(f"image:{A}")) <= KEPT_SECONDS


def test_an_end_that_is_sent_again_answers_the_same(jobs: Jobs, images: ImageStore) -> None:
    accept(jobs, images, A, B)
    assert jobs.end(A, Outcome.failed(OWN_FAULT)) is Ended.KEPT
    assert jobs.end(A, Outcome.failed(OWN_FAULT)) is Ended.NO
    claim = new_claim()
    claim_job(jobs, B, claim)
    assert jobs.fail_running(B, OWN_FAULT, claim.execution) is Ended.KEPT


def test_pictures_that_were_kept_for_long_enough_are_found_by_redis_clock(client: Any, images: ImageStore) -> None:
    # Given a failed job, on a clock that a test turns
    turned = TurnedClock(client)
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    break_down(jobs, images, A)
    until_ms = jobs.get(A).kept_until_ms
    # Then its picture is kept until then and no longer
    assert (jobs.kept.outdated(until_ms - 1), jobs.kept.outdated(until_ms)) == ([], [A])


@pytest.mark.parametrize(("deaths", "is_poison"), [((True, True, True), True), ((True, False, True), False)])
def test_a_job_whose_process_died_at_each_attempt_is_poison(
    jobs: Jobs, images: ImageStore, deaths: tuple[bool, ...], is_poison: bool
) -> None:
    # Given a job whose attempts all end, by the death of a process or otherwise
    accept(jobs, images, A)
    for died in deaths:
        claim = new_claim()
        claim_job(jobs, A, claim)
        requeued = jobs.requeue(A, claim.execution, "R", died=died)
    # Then it is marked if all were deaths, and its picture is kept in any case
    assert requeued is Requeued.KEPT
    assert jobs.get(A).poison is is_poison
    assert jobs.kept.contains(A)


def test_the_newest_kept_pictures_and_those_among_jobs_are_found(jobs: Jobs, images: ImageStore, client: Any) -> None:
    # Given three kept pictures; the order of their ends is that of their letters
    for number, job_id in enumerate((A, B, C)):
        break_down(jobs, images, job_id)
        client.zadd(QUEUE.key(KEPT_KEY), {job_id: number})
    # Then the newest come first, and those among others are found
    assert jobs.kept.newest(2) == [C, B]
    assert jobs.kept.among([A, D, C]) == {A, C} and jobs.kept.among([]) == set()

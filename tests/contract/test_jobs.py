"""The job records keep to one contract, on a real server and on the fake one of the unit tests."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest

from shared.errors import GoneJob, KeyReused, PictureTooLarge, QueueFull, UnknownJob
from shared.jobs.admission import IdempotencyKey, JobRequest
from shared.jobs.backlog import BacklogReader
from shared.jobs.claims import Claim
from shared.jobs.limits import JobLimits
from shared.jobs.models import TRANSITIONS, EndNotice, ImageInfo, JobState, Origin, Outcome, Requeued
from shared.jobs.queue import QUEUE_NAME, Queue
from shared.jobs.redis_keys import BYTES_KEY, DEADLINES_KEY, LEASES_KEY, OPEN_KEY
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.support.claims import claim_job, claim_next, new_claim
from tests.support.messages import take_all
from tests.support.outcomes import fail, succeed
from tests.support.processes import RedisServer
from tests.support.turned_clock import TurnedClock
from tests.support.twice import TwiceRedis
from tests.support.wait import eventually
from worker.jobs.stalled import LostMessages, StalledJobs

PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=640, height=480, bytes=1000)
LIMITS = JobLimits(
    max_open_jobs=5, max_stored_bytes=5_000, attempts=3, result_ttl_seconds=100, tombstone_ttl_seconds=200
)
REQUEST = JobRequest(PICTURE, top=3)
MODEL = {"name": "m", "digest": "d"}
LONG, ENDED = 60.0, 0.0
QUEUE = Queue()


@pytest.fixture(params=["real", "every request twice", "fake"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(kind: str, redis_server: RedisServer) -> Iterator[Any]:
    if kind == "fake":
        yield fakeredis.FakeRedis(decode_responses=True)
        return
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def jobs(kind: str, client: Any) -> Jobs:
    return Jobs(TwiceRedis(client) if kind == "every request twice" else client, QUEUE, LIMITS)


@pytest.fixture
def reader(client: Any) -> BacklogReader:
    return BacklogReader(client, QUEUE, LIMITS)


@pytest.fixture
def stalled(kind: str, client: Any) -> StalledJobs:
    return StalledJobs(TwiceRedis(client) if kind == "every request twice" else client, QUEUE)


def now_ms(client: Any) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def admit(jobs: Jobs, *job_ids: str) -> None:
    for job_id in job_ids:
        jobs.admit(job_id, REQUEST)


def put_into(jobs: Jobs, state: JobState) -> None:
    """Bring a new job "j" into `state`."""
    admit(jobs, "j")
    if state is not JobState.QUEUED and state is not JobState.CANCELED:
        claim_job(jobs, "j", Claim("x", "w", LONG))
    moves = {
        JobState.SUCCEEDED: lambda: succeed(jobs, "j", {}, MODEL),
        JobState.FAILED: lambda: fail(jobs, "j", {"status": 422}),
        JobState.CANCELED: lambda: jobs.cancel("j"),
    }
    moves.get(state, lambda: None)()


def test_an_admitted_job_is_queued_with_what_was_said_of_it(jobs: Jobs) -> None:
    # When a job is admitted
    position = jobs.admit("j", JobRequest(PICTURE, top=5)).position
    # Then its record says so
    job = jobs.get("j")
    assert (job.state, job.picture, job.top, job.attempts) == (JobState.QUEUED, PICTURE, 5, 0)
    assert job.accepted_ms > 0 and position == 1


def test_jobs_are_published_as_they_are_admitted_and_taken_in_that_order(jobs: Jobs, client: Any) -> None:
    admit(jobs, *"abc")
    assert take_all(client) == [*"abc"]


def test_a_job_that_is_not_admitted_is_not_published(jobs: Jobs, client: Any) -> None:
    # Given a full queue
    admit(jobs, *"abcde")
    take_all(client)
    # When one more comes, or one whose result is known, Then nothing is published
    with pytest.raises(QueueFull):
        admit(jobs, "f")
    jobs.admit("g", REQUEST, known=KnownResult({}, MODEL))
    assert take_all(client) == []


def test_a_picture_that_never_fits_is_refused_for_good(jobs: Jobs, client: Any) -> None:
    # Given a full queue, and a picture with more bytes than all open jobs together may have
    admit(jobs, *"abcde")
    take_all(client)
    large = replace(REQUEST, picture=replace(PICTURE, bytes=LIMITS.max_stored_bytes + 1))
    # When it comes, Then waiting would not help, and nothing is published
    with pytest.raises(PictureTooLarge, match="can never be accepted"):
        jobs.admit("f", large)
    assert take_all(client) == []
    # And if its result is known, it is not stored
    assert jobs.admit("g", large, known=KnownResult({}, MODEL)).known


def test_the_next_job_is_begun_from_the_queue(jobs: Jobs, client: Any) -> None:
    # Given jobs with their messages in the queue, one of which may not begin
    admit(jobs, *"abc")
    jobs.cancel("a")
    # When a worker asks for the next one, Then it has the first that may begin, and its message is gone
    claimed = claim_next(jobs)
    assert claimed is not None and claimed.job.id == "b"
    assert take_all(client) == ["c"]
    assert claim_next(jobs) is None


def test_one_job_ends_and_the_next_one_begins(jobs: Jobs, client: Any) -> None:
    # Given a job that runs and one that waits
    admit(jobs, *"ab")
    claim_next(jobs, Claim("x1", "w", LONG))
    # When the first ends and the next is wanted, also on a server that has lost the scripts
    if not isinstance(client, fakeredis.FakeRedis):
        client.script_flush()
    failed = Outcome.failed({"status": 422})
    (claimed,) = jobs.end_and_claim("a", failed, "x1", Claim("x2", "w", LONG)).jobs
    # Then both has happened, once
    assert (claimed.job.id, claimed.job.attempts) == ("b", 1)
    assert jobs.get("a").state is JobState.FAILED
    assert jobs.end_and_claim("b", failed, "x2", Claim("x3", "w", LONG)).jobs == []


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("no JSON", "no task"),
        ("", "no task"),
        ("[]", "no task"),
        ("5", "no task"),
        ('{"headers": {}}', "no task"),
        ('{"headers": []}', "no task"),
        ('{"headers": {"id": 5, "task": "classify"}}', "classify"),
        ('{"headers": {"id": "j", "task": 5}, "content-type": "application/json"}', "no task"),
        ('{"headers": {"id": "j", "task": "shop.send_mail"}, "content-type": "application/json"}', "shop.send_mail"),
    ],
)
def test_a_message_of_another_program_is_moved_aside_and_named(
    jobs: Jobs, client: Any, message: str, name: str
) -> None:
    # Given a message that nobody here has written, and a job behind it
    client.lpush(QUEUE_NAME, message)
    admit(jobs, "j")
    # When the next job is claimed, by a claim that is sent twice
    claim = new_claim()
    first, second = jobs.claim(claim), jobs.claim(claim)
    # Then it is the job, the message is kept once, and it was named
    assert first == second
    assert ([claimed.job.id for claimed in first.jobs], first.foreign) == (["j"], [name])
    assert client.lrange("jobs:foreign", 0, -1) == [message]


def test_the_list_of_foreign_messages_is_capped(jobs: Jobs, client: Any) -> None:
    # Given more messages of other programs than one claim looks at
    client.lpush(QUEUE_NAME, *[f"message {number}" for number in range(250)])
    # When they have been claimed past, Then the newest ones are kept
    names = [len(jobs.claim(new_claim()).foreign) for _ in range(3)]
    assert names == [100, 100, 50]
    assert client.llen("jobs:foreign") == 100
    assert client.lindex("jobs:foreign", 0) == "message 249"


def test_a_released_job_is_published_again(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j")
    take_all(client)
    claim_job(jobs, "j", Claim("x", "w", LONG))
    jobs.requeue("j", "x", "its worker died")
    assert take_all(client) == ["j"]


def test_what_runs_on_a_worker_is_known_with_its_execution(jobs: Jobs, stalled: StalledJobs) -> None:
    admit(jobs, *"abc")
    claim_job(jobs, "a", Claim("x1", "w1", LONG))
    claim_job(jobs, "b", Claim("x2", "w2", LONG))
    claim_job(jobs, "c", Claim("x3", "w1", LONG))
    assert stalled.running("w1") == {"a": "x1", "c": "x3"}


def test_an_id_that_never_was_is_unknown(jobs: Jobs) -> None:
    with pytest.raises(UnknownJob):
        jobs.get("nobody")


def test_admission_stops_at_the_limit_and_leaves_nothing(jobs: Jobs, client: Any) -> None:
    # Given as many open jobs as are admitted
    admit(jobs, *"abcde")
    # When one more comes, Then it is refused with a time to come back, and no record is left
    with pytest.raises(QueueFull) as refused:
        jobs.admit("f", REQUEST)
    assert 1 <= refused.value.retry_after_seconds <= 60
    assert not client.exists("job:f")
    # And when one has ended, there is room again
    jobs.cancel("a")
    jobs.admit("f", REQUEST)


def test_positions_follow_the_order_of_acceptance(jobs: Jobs, reader: BacklogReader) -> None:
    # Given three jobs of which the first runs
    for job_id in "abc":
        admit(jobs, job_id)
        eventually(lambda job_id=job_id: reader.position(job_id))
    claim_job(jobs, "a", Claim("x", "w", LONG))
    # Then the others are first and second
    assert sorted([reader.position("b"), reader.position("c")]) == [1, 2]


def test_begin_counts_the_attempt_and_takes_a_lease(jobs: Jobs, client: Any) -> None:
    # Given a queued job
    admit(jobs, "j")
    # When a worker begins it
    begun = claim_job(jobs, "j", Claim("x", "worker-1", LONG))
    # Then it is running there, once
    assert begun is not None
    job = begun.job
    assert (job.state, job.attempts, job.worker) == (JobState.RUNNING, 1, "worker-1")
    assert client.zscore(LEASES_KEY, "j") > job.begun_ms


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED])
def test_a_delivery_of_a_job_that_is_not_queued_is_dropped(jobs: Jobs, state: JobState) -> None:
    # Given a job in another state
    put_into(jobs, state)
    before = jobs.get("j")
    # When its message is delivered again, Then nothing begins and nothing changes
    assert claim_job(jobs, "j", Claim("other", "w2", LONG)) is None
    assert jobs.get("j") == before


def test_a_job_that_was_deleted_is_not_admitted_again(jobs: Jobs, client: Any) -> None:
    # Given an upload whose answer was lost, and whose job was canceled and deleted since
    admit(jobs, "j")
    jobs.cancel("j")
    jobs.delete("j")
    take_all(client)
    # When it is sent again, Then the answer is that of the first time, and nothing begins
    assert jobs.admit("j", REQUEST).job_id == "j"
    assert jobs.backlog.read().open_jobs == 0
    assert take_all(client) == []


def test_a_delivery_of_an_unknown_job_is_dropped(jobs: Jobs) -> None:
    assert claim_job(jobs, "nobody", Claim("x", "w", LONG)) is None


def test_a_claim_that_is_sent_again_takes_no_second_job(jobs: Jobs, client: Any) -> None:
    # Given a claim whose answer was lost
    admit(jobs, *"abc")
    claim = new_claim()
    first = jobs.claim(claim)
    # When it is sent again, Then it has the job that it had, and the others wait
    assert jobs.claim(claim) == first
    assert [claimed.job.id for claimed in first.jobs] == ["a"]
    assert take_all(client) == ["b", "c"]


def test_a_claim_that_found_nothing_takes_nothing_when_it_is_sent_again(jobs: Jobs, client: Any) -> None:
    claim = new_claim()
    assert jobs.claim(claim).jobs == []
    admit(jobs, "j")
    assert jobs.claim(claim).jobs == []
    assert take_all(client) == ["j"]


def test_several_jobs_may_be_claimed_at_once(jobs: Jobs, client: Any) -> None:
    # Given four jobs, one of which may not be run
    admit(jobs, *"abcd")
    jobs.cancel("b")
    # When two are claimed, twice
    claim = Claim("x", "w", LONG, most=2)
    first = jobs.claim(claim)
    # Then they are the first two that may be run
    assert [claimed.job.id for claimed in first.jobs] == ["a", "c"]
    assert jobs.claim(claim) == first
    assert take_all(client) == ["d"]


def test_a_claim_that_comes_too_late_takes_nothing(client: Any) -> None:
    # Given a process that knows Redis' clock, and sends a claim that is held up for four seconds
    turned = TurnedClock(client)
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    jobs.claim(new_claim())
    admit(jobs, "j")
    turned.set(4)
    # When Redis comes to it, Then it is refused; and the process, which still waits, asks again
    (claimed,) = jobs.claim(new_claim()).jobs
    assert (claimed.job.id, claimed.job.begun_ms) == ("j", turned.now_ms)


@pytest.mark.parametrize("execution", ["other", "x0"])
def test_a_running_job_is_changed_by_its_execution_only(jobs: Jobs, execution: str) -> None:
    # Given a job that an execution holds, after another one has lost it
    admit(jobs, "j")
    claim_job(jobs, "j", Claim("x0", "w", LONG))
    jobs.requeue("j", "x0", "slow")
    claim_job(jobs, "j", Claim("x1", "w", LONG))
    before = jobs.get("j")
    # When another execution ends it or gives it up, Then nothing changes
    assert not fail(jobs, "j", {"status": 500}, execution)
    assert not succeed(jobs, "j", {}, MODEL, execution=execution)
    assert jobs.requeue("j", execution, "lost") is Requeued.NONE
    assert jobs.requeue("j", execution, "lost", counted=False) is Requeued.NONE
    assert jobs.get("j") == before
    # And its own may
    assert succeed(jobs, "j", {}, MODEL, execution="x1")


def test_a_late_result_is_not_taken_while_another_execution_runs_the_job(jobs: Jobs) -> None:
    admit(jobs, "j")
    claim_job(jobs, "j", Claim("x0", "w", LONG))
    jobs.requeue("j", "x0", "slow")
    claim_job(jobs, "j", Claim("x1", "w", LONG))
    assert not jobs.end_and_claim("j", Outcome.succeeded({}, MODEL), "x0", new_claim()).ended
    assert jobs.end_and_claim("j", Outcome.succeeded({}, MODEL), "x1", new_claim()).ended


def test_what_a_claim_took_unheard_is_given_back_without_costing_an_attempt(jobs: Jobs, client: Any) -> None:
    # Given a claim whose answer never came
    admit(jobs, "j")
    jobs.claim(Claim("x", "w", LONG))
    # When it is given back, Then the job waits as if nothing had been
    jobs.give_back("x")
    jobs.give_back("never was")
    assert (jobs.get("j").state, jobs.get("j").attempts, take_all(client)) == (JobState.QUEUED, 0, ["j"])


def test_jobs_keep_their_order_when_the_clock_is_set_back(client: Any, reader: BacklogReader) -> None:
    # Given a queue
    turned = TurnedClock(client)
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    admit(jobs, *"ab")
    # When the clock is set back by an hour, and more come
    turned.set(-3600)
    admit(jobs, *"cd")
    # Then they come later, and no message is taken for lost
    assert [reader.position(job_id) for job_id in "abcd"] == [1, 2, 3, 4]
    claim_next(jobs)
    claim_next(jobs)
    turned.wait(6)
    assert StalledJobs(client, QUEUE, turned.clock).publish_lost().published == []


@pytest.mark.parametrize("seconds", [8 * 3600, -3600])
def test_a_clock_that_is_set_does_not_make_the_queue_look_slow(
    client: Any, reader: BacklogReader, seconds: int
) -> None:
    # Given jobs that take a second each, and a clock that is set while they run
    turned = TurnedClock(client, now_ms(client))
    jobs = Jobs(client, QUEUE, LIMITS, clock=turned.clock)
    admit(jobs, *"abcde")
    for number, job_id in enumerate("abcd"):
        claim_job(jobs, job_id)
        turned.wait(1)
        if number == 2:
            turned.set(seconds)
        succeed(jobs, job_id, {}, MODEL)
    # Then the expected time between two ends is no more than a few seconds
    assert 0 <= reader.read().interval_ms <= 2_000


def test_the_same_execution_may_ask_again(jobs: Jobs) -> None:
    # Given an execution whose answer was lost on the way
    admit(jobs, "j")
    first = claim_job(jobs, "j", Claim("x", "w", LONG))
    # When it asks again, Then it has the job, and no attempt was counted twice
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) == first


TERMINAL = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]


@pytest.mark.parametrize("origin", [JobState.QUEUED, JobState.RUNNING, *TERMINAL])
@pytest.mark.parametrize("target", TERMINAL)
def test_every_end_is_reached_from_where_the_table_allows_it_and_from_nowhere_else(
    jobs: Jobs, origin: JobState, target: JobState
) -> None:
    # Given a job in `origin`
    put_into(jobs, origin)
    # When it is moved to `target`
    moves = {
        JobState.SUCCEEDED: lambda: succeed(jobs, "j", {"late": True}, MODEL),
        JobState.FAILED: lambda: fail(jobs, "j", {"status": 500}),
        JobState.CANCELED: lambda: jobs.cancel("j"),
    }
    moved = moves[target]()
    # Then it moved if the table says so, and the first terminal state stays
    assert moved == (target in TRANSITIONS[origin])
    assert jobs.get("j").state == (target if moved else origin)


def test_a_finished_job_is_no_longer_open_and_expires(jobs: Jobs, client: Any) -> None:
    # Given a running job
    put_into(jobs, JobState.RUNNING)
    # When it succeeds
    succeed(jobs, "j", {"prediction_1": {}}, MODEL)
    # Then its result is there for a while, and nothing of it is open
    assert jobs.get("j").result == {"prediction_1": {}}
    assert jobs.get("j").model == MODEL
    assert 0 < client.ttl("job:j") <= 100
    assert client.zcard(OPEN_KEY) == client.zcard(LEASES_KEY) == 0


def test_a_result_that_outlived_its_time_is_gone_not_unknown(jobs: Jobs, client: Any) -> None:
    # Given a finished job
    put_into(jobs, JobState.SUCCEEDED)
    # When its record expires
    client.delete("job:j")
    # Then it is gone
    with pytest.raises(GoneJob):
        jobs.get("j")


def test_a_deleted_job_is_gone(jobs: Jobs) -> None:
    put_into(jobs, JobState.SUCCEEDED)
    jobs.delete("j")
    with pytest.raises(GoneJob):
        jobs.get("j")


def test_the_end_of_a_job_is_published(jobs: Jobs, client: Any) -> None:
    # Given a subscriber
    put_into(jobs, JobState.RUNNING)
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe("jobs:ended")
        subscription.get_message(timeout=1)
        # When the job ends
        succeed(jobs, "j", {}, MODEL)
        # Then it hears how
        message = eventually(lambda: subscription.get_message(timeout=1))
        notice = EndNotice.parse(message["data"])
        assert (notice.job_id, notice.job()) == ("j", jobs.get("j"))


def test_release_queues_the_job_again_until_its_attempts_are_used_up(jobs: Jobs) -> None:
    # Given a job that was begun and released twice
    admit(jobs, "j")
    for attempt in (1, 2):
        claimed = claim_job(jobs, "j", Claim(f"a{attempt}", "w", LONG))
        assert claimed is not None and claimed.job.attempts == attempt
        assert jobs.requeue("j", f"a{attempt}", "its worker died") is Requeued.QUEUED
        assert jobs.get("j").state is JobState.QUEUED
    # When the third attempt is lost too
    claim_job(jobs, "j", Claim("a3", "w", LONG))
    assert jobs.requeue("j", "a3", "its worker died") is Requeued.EXHAUSTED
    # Then the job has failed and says why
    job = jobs.get("j")
    assert job.state is JobState.FAILED
    assert job.problem is not None and (job.problem["status"], job.problem["title"]) == (500, "Too many attempts")
    assert "its worker died" in job.problem["detail"]


def test_a_late_result_of_a_released_attempt_counts(jobs: Jobs) -> None:
    # Given a job whose attempt was given up
    put_into(jobs, JobState.RUNNING)
    jobs.requeue("j", "x", "slow")
    # When the slow attempt ends after all, Then its result is taken, and the new delivery is dropped
    assert succeed(jobs, "j", {"slow": 1}, MODEL)
    assert claim_job(jobs, "j", Claim("x2", "w", LONG)) is None


def test_only_leases_that_ended_are_overdue(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given one job under a live lease and one whose lease has ended
    admit(jobs, "live", "dead")
    claim_job(jobs, "live", Claim("x1", "w", LONG))
    claim_job(jobs, "dead", Claim("x2", "w", ENDED))
    # Then the second is overdue, and only it is released as such
    assert stalled.overdue(now_ms(client)) == {"dead": "x2"}
    assert jobs.requeue("dead", "x2", "lost", lease_ended=True) is Requeued.QUEUED
    assert jobs.requeue("live", "x1", "lost", lease_ended=True) is Requeued.NONE
    assert jobs.get("live").state is JobState.RUNNING


def age(client: Any, *job_ids: str) -> None:
    """Make it long ago that the jobs were published."""
    for job_id in job_ids:
        client.hset(f"job:{job_id}", "published_ms", 1)


def test_a_backlog_alone_has_lost_no_message(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given jobs that have waited for long, with their messages in the queue
    admit(jobs, *"abc")
    age(client, *"abc")
    # Then none of them is published again
    assert stalled.publish_lost().published == []


def test_a_message_is_lost_when_a_later_job_was_claimed(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given two queued jobs, the second accepted later
    admit(jobs, "early")
    eventually(lambda: jobs.admit("late", REQUEST) and _apart(client))
    age(client, "early")
    # When the later one begins
    claim_job(jobs, "late", Claim("x", "w", LONG))
    # Then the earlier one is published again, once
    assert stalled.publish_lost().published == ["early"]
    assert stalled.publish_lost().published == []
    assert take_all(client)[-1] == "early"


def _apart(client: Any) -> bool:
    """Whether the two jobs were accepted in different milliseconds; if not, the later one is admitted anew."""
    apart = client.hget("job:early", "accepted_ms") != client.hget("job:late", "accepted_ms")
    if not apart:
        client.delete("job:late")
    return bool(apart)


def test_a_message_is_lost_when_the_queue_is_empty(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given a job whose message was lost, some time ago
    admit(jobs, "j")
    take_all(client)
    assert stalled.publish_lost().published == [], "it was published just now"
    age(client, "j")
    # Then it is published again
    assert stalled.publish_lost().published == take_all(client) == ["j"]


def test_every_lost_message_is_published_again(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given jobs whose messages were lost some time ago
    admit(jobs, *"abc")
    take_all(client)
    age(client, *"abc")
    # Then all are published again, and no record is missing
    assert stalled.publish_lost() == LostMessages([*"abc"], [])


def test_admission_stops_at_the_stored_bytes(client: Any, reader: BacklogReader) -> None:
    # Given room for three pictures
    jobs = Jobs(client, QUEUE, JobLimits(100, 3_500, 3, 100, 200))
    admit(jobs, *"abc")
    # When one more comes, Then it is refused
    with pytest.raises(QueueFull):
        jobs.admit("d", REQUEST)
    # And when one has ended, its bytes are free again
    jobs.cancel("a")
    jobs.admit("d", REQUEST)
    assert reader.read().stored_bytes == int(client.get(BYTES_KEY)) == 3_000


def test_an_admission_may_be_repeated_by_a_caller_that_did_not_hear_the_answer(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j", "j")
    assert (client.zcard(OPEN_KEY), client.get(BYTES_KEY)) == (1, "1000")


def test_a_job_past_its_deadline_does_not_begin_and_expires(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given queued jobs: one whose deadline passes, one with time left, and one without a deadline
    jobs.admit("late", JobRequest(PICTURE, 3, deadline_seconds=0.001))
    jobs.admit("early", JobRequest(PICTURE, 3, deadline_seconds=100))
    admit(jobs, "any time")
    eventually(lambda: stalled.past_deadline(now_ms(client)) == ["late"])
    # When both are delivered
    assert claim_job(jobs, "late", Claim("x", "w", LONG)) is None
    assert claim_job(jobs, "early", Claim("y", "w", LONG)) is not None
    # Then the first expires, and one that has begun never does
    assert jobs.expire("late") and not jobs.expire("early")
    assert jobs.get("late").state is JobState.EXPIRED
    assert client.zrange(DEADLINES_KEY, 0, -1) == ["early"]


def test_a_record_of_a_newer_version_is_left_to_a_newer_worker(jobs: Jobs, client: Any) -> None:
    # Given a job that a newer API has written
    admit(jobs, "j")
    client.hset("job:j", "format_version", 99)
    # When it is delivered to this worker, Then it stays queued
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) is None
    assert jobs.get("j").state is JobState.QUEUED


def test_a_job_may_be_requeued_uncounted_to_wait_for_some_seconds(jobs: Jobs, client: Any) -> None:
    # Given a job that runs, and was delivered
    admit(jobs, "j")
    take_all(client)
    assert claim_job(jobs, "j", Claim("x", "w", LONG)) is not None
    # When it is requeued without being published, twice
    jobs.requeue("j", "x", "store away", counted=False, publish=False)
    jobs.requeue("j", "x", "store away", counted=False, publish=False)
    # Then it waits without an attempt or a lease, and is not delivered for now
    job = jobs.get("j")
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert not client.exists(LEASES_KEY) and not client.llen(QUEUE_NAME)
    # And when it comes back, it is as good as new
    claimed = claim_job(jobs, "j", Claim("y", "w", LONG))
    assert claimed is not None and claimed.job.attempts == 1


def test_a_job_that_has_ended_is_not_requeued(jobs: Jobs) -> None:
    admit(jobs, "j")
    fail(jobs, "j", {"status": 422})
    assert jobs.requeue("j", "", "store away", counted=False) is Requeued.NONE
    assert jobs.get("j").state is JobState.FAILED


def key(fingerprint: str = "f", scope: str = "") -> IdempotencyKey:
    return IdempotencyKey(scope, "my key", fingerprint)


def test_a_key_that_comes_again_joins_the_first_job(jobs: Jobs, client: Any) -> None:
    # Given a job with a key
    first = jobs.admit("j", REQUEST, key())
    assert not first.joined
    # When the request comes again, Then it joins, and nothing new is written
    again = jobs.admit("k", REQUEST, key())
    assert (again.job_id, again.joined) == ("j", True)
    assert client.zcard(OPEN_KEY) == 1 and not client.exists("job:k")
    # And keys do not last for ever
    assert client.ttl(key().redis_key) > 0


def test_a_key_with_another_request_is_refused(jobs: Jobs, client: Any) -> None:
    jobs.admit("j", REQUEST, key("one"))
    with pytest.raises(KeyReused):
        jobs.admit("k", REQUEST, key("other"))
    assert not client.exists("job:k")


def test_keys_of_different_callers_do_not_meet(jobs: Jobs) -> None:
    jobs.admit("j", REQUEST, key(scope="alice"))
    assert not jobs.admit("k", REQUEST, key(scope="bob")).joined


def test_a_job_has_an_owner_and_the_id_of_its_request_to_its_end_and_beyond(jobs: Jobs, client: Any) -> None:
    # Given a job with both, and one whose result was known
    order = JobRequest(PICTURE, 3, owner="alice", request_id="r1")
    jobs.admit("j", order)
    jobs.admit("k", order, known=KnownResult({}, MODEL))
    # Then whoever begins it knows both
    begun = claim_next(jobs, Claim("x", "w", LONG))
    assert begun is not None and (begun.job.owner, begun.job.request_id) == ("alice", "r1")
    # And when it has ended and was deleted or has outlived its time, it still has its owner
    succeed(jobs, "j", {}, MODEL)
    assert jobs.get("j", "alice").owner == jobs.get("k", "alice").owner == "alice"
    jobs.delete("j")
    client.delete("job:k")
    for job_id in ("j", "k"):
        with pytest.raises(GoneJob):
            jobs.get(job_id, "alice")
    assert 0 < client.ttl("gone:j") <= LIMITS.tombstone_ttl_seconds


def test_a_job_may_be_nobodys_as_all_were_before_there_were_owners(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j")
    assert not {"owner", "request_id"} & set(client.hgetall("job:j"))
    assert jobs.get("j").owner == ""


def test_a_job_of_somebody_else_or_of_nobody_is_unknown_to_its_end_and_beyond(jobs: Jobs) -> None:
    # Given a job of Bob's and one of nobody's, Then Alice learns no more of them than of one that never was
    jobs.admit("bobs", JobRequest(PICTURE, 3, owner="bob"))
    admit(jobs, "nobodys")
    for _ in range(2):
        for job_id in ("bobs", "nobodys", "never was"):
            with pytest.raises(UnknownJob, match=r"^There is no job with this id\.$"):
                jobs.get(job_id, "alice")
        # And the same when they are gone
        for job_id in ("bobs", "nobodys"):
            succeed(jobs, job_id, {}, MODEL)
            jobs.delete(job_id)


def test_the_requests_and_traces_of_jobs_are_known(jobs: Jobs) -> None:
    jobs.admit("a", JobRequest(PICTURE, 3, request_id="r1", traceparent="00-t-s-01"))
    admit(jobs, "b")
    assert jobs.origins(["a", "b", "never was"]) == [Origin("r1", "00-t-s-01"), Origin(), Origin()]
    assert jobs.origins([]) == []


def test_failed_jobs_are_listed(jobs: Jobs) -> None:
    # Given one that succeeded and two that failed
    admit(jobs, *"abc")
    succeed(jobs, "a", {}, MODEL)
    fail(jobs, "b", {"status": 422, "detail": "first"})
    fail(jobs, "c", {"status": 500, "detail": "second"})
    # Then the two are listed with their reasons
    assert {job.id: job.problem["detail"] for job in jobs.failed(10) if job.problem} == {"b": "first", "c": "second"}
    assert len(jobs.failed(1)) == 1
    # And a job whose record was deleted is not listed
    jobs.delete("b")
    assert [job.id for job in jobs.failed(10)] == ["c"]


def test_the_drain_rate_is_learnt_from_jobs_that_end_while_others_wait(
    jobs: Jobs, client: Any, reader: BacklogReader
) -> None:
    # Given jobs of which the first two take long
    admit(jobs, *"abcd")
    assert reader.read().seconds_for(10) == 1, "a guess, before anything has ended"
    for job_id in "ab":
        claim_job(jobs, job_id, Claim(job_id, "w", LONG))
        client.hset(f"job:{job_id}", "begun_ms", int(client.hget(f"job:{job_id}", "begun_ms")) - 4000)
        client.delete("jobs:drain")
        succeed(jobs, job_id, {}, MODEL)
    # Then the next ones are expected to take as long
    assert 7 <= reader.read().seconds_for(2) <= 9

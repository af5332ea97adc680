"""Batches keep to one contract: pictures admitted together, ends counted once, results in the order of adding."""

from typing import Any

import pytest
import redis

from shared.batches.calls import RepeatableRequest
from shared.batches.models import Batch, BatchRequest, BatchResult, BatchState, NewPicture
from shared.batches.store import PAGE, Batches
from shared.errors import BatchClosed, GoneBatch, GoneJob, KeyReused, PictureTooLarge, QueueFull, TryLater, UnknownBatch
from shared.jobs.admission import JobRequest
from shared.jobs.deliveries import Deliveries
from shared.jobs.limits import JobLimits
from shared.jobs.models import EndNotice, ImageInfo, JobState
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import ENDED_CHANNEL
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.support.claims import claim_next, new_claim
from tests.support.outcomes import fail, succeed
from tests.support.processes import RedisServer
from tests.support.wait import eventually

QUEUE = Queue("p:")
PICTURE = ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=10)
LABELS = {
    "prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"},
    "prediction_2": {"confidence_level": 0.25, "predicted_label": "dog"},
}
MODEL = {"name": "m", "digest": "d"}
PROBLEM = {"status": 422, "title": "Picture cannot be decoded", "detail": "d"}
LIMITS = JobLimits(
    max_open_jobs=5,
    max_stored_bytes=10_000,
    attempts=3,
    result_ttl_seconds=100,
    tombstone_ttl_seconds=200,
    batch_result_ttl_seconds=1000,
)
BATCH = "b"


class Bench:
    """Jobs and batches on one server."""

    def __init__(self, client: Any, limits: JobLimits = LIMITS) -> None:
        self.client = client
        self.jobs = Jobs(client, QUEUE, limits)
        self.batches = Batches(client, QUEUE, limits, self.jobs.backlog)
        self.deliveries = Deliveries(client, QUEUE)

    def open(self, **options: Any) -> None:
        self.batches.open(BATCH, BatchRequest(**{"top": 2, **options}))

    def add(self, *job_ids: str, known: KnownResult | None = None, request: RepeatableRequest | None = None) -> Any:
        """Add pictures, each named after its job."""
        pictures = [NewPicture(each, f"{each}.png", JobRequest(PICTURE, 2, owner="alice"), known) for each in job_ids]
        return self.batches.add(BATCH, pictures, request, in_redis=False).earlier

    @property
    def batch(self) -> Batch:
        return self.batches.get(BATCH)

    def results(self, after: int = 0) -> list[BatchResult]:
        return [found for page in self.batches.results(self.batch, after) for found in page]


@pytest.fixture
def bench(each_client: Any) -> Bench:
    return Bench(each_client)


def ends(**counts: int) -> dict[str, int]:
    return {"succeeded": 0, "failed": 0, "canceled": 0, "expired": 0, **counts}


def test_a_batch_goes_from_open_to_completed(bench: Bench) -> None:
    # Given a batch with three pictures
    bench.open()
    assert (bench.batch.state, bench.batch.added) == (BatchState.OPEN, 0)
    bench.add("x", "y")
    bench.add("z")
    # When one ends, Then it is counted, whoever ends it
    claimed = claim_next(bench.jobs, claim := new_claim())
    assert claimed is not None and claimed.job.id == "x"
    succeed(bench.jobs, "x", LABELS, MODEL, claim.execution)
    assert (bench.batch.state, bench.batch.added, bench.batch.ends) == (BatchState.OPEN, 3, ends(succeeded=1))
    # When it is closed, it takes no more
    assert bench.batches.close(BATCH) is BatchState.CLOSED
    with pytest.raises(BatchClosed):
        bench.add("w")
    # And the last end completes it, for as long as results are kept
    fail(bench.jobs, "y", PROBLEM)
    assert bench.batch.state is BatchState.CLOSED
    bench.jobs.cancel("z")
    assert (bench.batch.state, bench.batch.ends) == (
        BatchState.COMPLETED,
        ends(succeeded=1, failed=1, canceled=1),
    )
    assert bench.batch.finished_ms >= bench.batch.closed_ms >= bench.batch.opened_ms > 0
    ttls = {bench.client.ttl(key) for key in bench.client.scan_iter("p:batch:*")}
    assert 990 < min(ttls) <= max(ttls) <= 1000
    assert bench.batches.open_count() == 0


def test_the_end_of_a_batch_is_published(bench: Bench) -> None:
    # Given requests that wait for ends, and an open batch
    with bench.client.pubsub() as subscription:
        subscription.subscribe(QUEUE.key(ENDED_CHANNEL))
        bench.open()
        # When it ends
        bench.batches.close(BATCH)
        # Then they are told
        heard: list[str] = []

        def hear() -> bool:
            message = subscription.get_message(timeout=0.1)
            if message and message["type"] == "message":
                heard.append(EndNotice.parse(message["data"]).job_id)
            return BATCH in heard

        eventually(hear, 10, "a notice")


def test_no_key_of_a_batch_stays_for_ever(bench: Bench) -> None:
    bench.open()
    bench.add("x", request=RepeatableRequest("k", "f", "a"))
    succeed(bench.jobs, "x", LABELS, MODEL)
    keys = list(bench.client.scan_iter("p:batch:*"))
    assert len(keys) == 4
    assert all(bench.client.ttl(key) > 0 for key in keys)


def test_a_batch_whose_jobs_have_ended_completes_when_it_is_closed(bench: Bench) -> None:
    bench.open()
    bench.add("x")
    succeed(bench.jobs, "x", LABELS, MODEL)
    assert bench.batch.state is BatchState.OPEN
    assert bench.batches.open_count() == 1
    assert bench.batches.close(BATCH) is BatchState.COMPLETED
    # Closed again, it stays as it is
    assert bench.batches.close(BATCH) is BatchState.COMPLETED


def test_pictures_are_admitted_together_or_not_at_all(bench: Bench) -> None:
    # Given room for two
    bench.open()
    bench.add("v", "w", "x")
    # When three come, Then none is admitted, and nothing is left
    with pytest.raises(QueueFull, match="3 pictures"):
        bench.add("a", "b", "c")
    assert bench.batch.added == 3
    assert not list(bench.client.scan_iter("p:job:[abc]"))
    assert bench.jobs.backlog.read().stored_bytes == 30
    # And two are
    bench.add("a", "b")
    assert bench.batch.added == 5
    assert [claimed.job.id for claimed in bench.jobs.claim(new_claim()).jobs] == ["v"]


def test_stored_bytes_count_for_all_pictures(each_client: Any) -> None:
    bench = Bench(each_client, JobLimits(100, 25, 3, 100, 200))
    bench.open()
    # Three pictures never fit
    with pytest.raises(PictureTooLarge, match="at a time"):
        bench.add("a", "b", "c")
    # And two do not beside one
    bench.add("x")
    with pytest.raises(QueueFull, match="pictures of open jobs"):
        bench.add("a", "b")
    bench.jobs.cancel("x")
    bench.add("a", "b")


def test_results_come_in_the_order_of_adding_up_to_the_first_that_is_open(bench: Bench) -> None:
    # Given three pictures of which the last ends first
    bench.open()
    bench.add("x", "y", "z")
    succeed(bench.jobs, "z", LABELS, MODEL)
    assert bench.results() == []
    # When the first has ended, Then it is there
    succeed(bench.jobs, "x", LABELS, MODEL)
    first = BatchResult(1, "x.png", "x", "succeeded", LABELS, None, MODEL)
    assert bench.results() == [first]
    # And after it come the others, none twice
    assert bench.results(after=1) == []
    fail(bench.jobs, "y", PROBLEM)
    assert bench.results(after=1) == [
        BatchResult(2, "y.png", "y", "failed", None, PROBLEM),
        BatchResult(3, "z.png", "z", "succeeded", LABELS, None, MODEL),
    ]
    assert bench.results(after=3) == bench.results(after=99) == []


def test_results_outlive_the_records_of_their_jobs(bench: Bench) -> None:
    bench.open(min_confidence=0.3)
    bench.add("x")
    succeed(bench.jobs, "x", LABELS, MODEL)
    bench.jobs.delete("x")
    with pytest.raises(GoneJob):
        bench.jobs.get("x")
    # Labels below the batch's `min_confidence` are left out, as in the job's record
    assert [list(found.result or {}) for found in bench.results()] == [["prediction_1"]]


def test_more_results_than_a_page(each_client: Any) -> None:
    bench = Bench(each_client, JobLimits(1000, 1_000_000, 3, 100, 200))
    bench.open()
    job_ids = [f"j{number}" for number in range(2 * PAGE)]
    bench.add(*job_ids)
    bench.jobs.cancel_all(job_ids)
    assert [found.job_id for found in bench.results()] == job_ids
    assert [found.number for found in bench.results(after=PAGE - 1)] == [*range(PAGE, 2 * PAGE + 1)]


def test_a_picture_whose_result_is_known_has_ended_and_takes_no_room(bench: Bench) -> None:
    # Given a full queue
    bench.open()
    bench.add(*"vwxyz")
    # When a picture comes whose result is cached
    bench.add("k", known=KnownResult(LABELS, MODEL))
    # Then its job has succeeded and is counted
    assert bench.jobs.get("k").state is JobState.SUCCEEDED
    assert bench.batch.ends == ends(succeeded=1)
    assert bench.results(after=5)[0].result == LABELS


def test_a_request_that_is_repeated_adds_nothing(bench: Bench) -> None:
    bench.open()
    request = RepeatableRequest("my key", "f", "the answer")
    assert bench.batches.earlier_answer(BATCH, request).earlier is None
    assert bench.add("x", request=request) is None
    # When it is repeated, also after the batch was closed, Then the answer is the first one
    assert bench.add("y", request=request) == "the answer"
    bench.batches.close(BATCH)
    assert bench.add("y", request=request) == bench.batches.earlier_answer(BATCH, request).earlier == "the answer"
    assert bench.batch.added == 1
    # And another request with this key is refused
    other = RepeatableRequest("my key", "other", "")
    for ask in (lambda: bench.add("z", request=other), lambda: bench.batches.earlier_answer(BATCH, other)):
        with pytest.raises(KeyReused):
            ask()


def test_pictures_must_be_staged(bench: Bench) -> None:
    # Given a picture in Redis, and one that has gone
    bench.open()
    bench.batches.stage([("x", b"data")])
    pictures = [NewPicture(each, "", JobRequest(PICTURE, 2)) for each in "xy"]
    # When both are added, Then none is
    with pytest.raises(redis.ConnectionError, match="too long ago"):
        bench.batches.add(BATCH, pictures, None, in_redis=True)
    assert bench.batch.added == 0
    # And the first alone is claimed with its data
    bench.batches.add(BATCH, pictures[:1], None, in_redis=True)
    claimed = claim_next(bench.jobs)
    assert claimed is not None and claimed.picture == b"data"
    assert bench.client.ttl("p:image:x") > 80_000


def test_a_request_whose_answer_was_lost_is_no_repetition(bench: Bench) -> None:
    # Given an open batch
    bench.open()
    # When a request with a key is sent, and sent again because its answer was lost
    added = bench.add("x", request=RepeatableRequest("my key", "f", "the answer"))
    # Then its caller is not told that the pictures are not needed
    assert added is None
    assert bench.batch.added == 1


def test_a_request_is_known_again_when_its_pictures_were_deleted_meanwhile(bench: Bench) -> None:
    # Given a request whose answer was lost, and a batch that somebody else has canceled since
    bench.open()
    request = RepeatableRequest("my key", "f", "the answer")
    bench.add("x", request=request)
    bench.batches.cancel(BATCH)
    bench.jobs.cancel_all(["x"])
    bench.jobs.delete("x")
    bench.batches.forget(BATCH)
    # When it is sent again, Then the answer is that of the first time: its pictures were added
    assert bench.add("x", request=request) is None
    assert bench.batches.open_count() == bench.jobs.backlog.read().open_jobs == 0


def test_a_canceled_batch_is_told_and_leaves_nothing(bench: Bench) -> None:
    # Given a batch with a picture that has ended and one that is open
    bench.open()
    bench.add("x", "y")
    succeed(bench.jobs, "x", LABELS, MODEL)
    # When it is canceled
    assert bench.batches.cancel(BATCH) is BatchState.CANCELED
    with pytest.raises(BatchClosed):
        bench.add("z")
    for job_ids in bench.batches.job_ids(BATCH):
        assert job_ids == ["x", "y"]
        assert bench.jobs.cancel_all(job_ids) == ["y"]
        bench.jobs.delete(*job_ids)
    bench.batches.forget(BATCH)
    # Then its record says so, and nothing else is left
    assert bench.batch.state is BatchState.CANCELED
    assert bench.results() == []
    assert list(bench.client.scan_iter("p:batch:*")) == ["p:batch:b"]
    assert bench.batches.open_count() == 0
    # And it cannot be closed, nor is it deleted by another cancellation
    assert bench.batches.close(BATCH) is bench.batches.cancel(BATCH) is BatchState.CANCELED


def test_a_completed_batch_is_deleted(bench: Bench) -> None:
    bench.open()
    bench.batches.close(BATCH)
    assert bench.batches.cancel(BATCH) is BatchState.DELETED
    with pytest.raises(GoneBatch):
        bench.batches.get(BATCH)


def test_batches_of_others_and_of_nobody_are_unknown(bench: Bench) -> None:
    bench.open(owner="alice")
    assert bench.batches.get(BATCH, "alice").owner == "alice"
    for ask in (
        lambda: bench.batches.get(BATCH, "bob"),
        lambda: bench.batches.get("c"),
        lambda: bench.batches.close("c"),
        lambda: bench.batches.cancel("c"),
        lambda: bench.batches.add("c", [], None, in_redis=False),
    ):
        with pytest.raises(UnknownBatch, match=r"^There is no batch with this id\.$"):
            ask()


@pytest.mark.parametrize("canceled", [False, True])
def test_the_end_of_a_batch_is_delivered_once(bench: Bench, canceled: bool) -> None:
    # Given a batch with a webhook
    bench.open(owner="alice", webhook="https://alice.example/hook", traceparent="00-t-s-01")
    bench.add("x", "y")
    succeed(bench.jobs, "x", LABELS, MODEL)
    bench.batches.close(BATCH)
    assert bench.deliveries.claim(10) == []
    # When it ends
    if canceled:
        bench.batches.cancel(BATCH)
        assert bench.deliveries.claim(10) == []
        bench.jobs.cancel("y")
    else:
        succeed(bench.jobs, "y", LABELS, MODEL)
    # Then one delivery has its state and all ends, and its pictures have none
    (delivery,) = bench.deliveries.claim(10)
    assert isinstance(delivery.subject, Batch)
    assert (delivery.message_id, delivery.url) == ("msg_b", "https://alice.example/hook")
    assert delivery.subject.traceparent == "00-t-s-01"
    if canceled:
        expected = BatchState.CANCELED, ends(succeeded=1, canceled=1)
    else:
        expected = BatchState.COMPLETED, ends(succeeded=2)
    assert (delivery.subject.state, delivery.subject.ends) == expected
    assert delivery.subject.finished_ms > 0


def test_the_number_of_open_batches_is_limited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batches.calls.MAX_OPEN_BATCHES", 1)
    bench.open()
    with pytest.raises(TryLater):
        bench.batches.open("c", BatchRequest(2))
    bench.batches.close(BATCH)
    bench.batches.open("c", BatchRequest(2))


def test_the_number_of_pictures_is_limited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batches.calls.MAX_PICTURES", 2)
    bench.open()
    with pytest.raises(BatchClosed, match="2 pictures"):
        bench.add("x", "y", "z")
    bench.add("x", "y")


def test_a_full_redis_admits_nothing_and_lets_batches_end(server: RedisServer) -> None:
    # Given a batch with a webhook and an open picture, and a Redis that has no memory left
    with server.client() as client:
        bench = Bench(client)
        bench.open(webhook="https://alice.example/hook")
        bench.add("x")
        client.config_set("maxmemory", "1")
        # When pictures come, Then nothing is written
        before = sorted(client.scan_iter("*"))
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            bench.add("y", "z", request=RepeatableRequest("k", "f", "a"))
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            bench.batches.open("c", BatchRequest(2))
        assert sorted(client.scan_iter("*")) == before
        # And the batch can be closed, and completed by its last picture
        assert bench.batches.close(BATCH) is BatchState.CLOSED
        assert succeed(bench.jobs, "x", LABELS, MODEL)
        assert bench.batch.state is BatchState.COMPLETED
        assert len(bench.results()) == len(bench.deliveries.claim(10)) == 1

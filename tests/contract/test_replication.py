"""`REDIS_MIN_REPLICAS`: what is said to be accepted is on the replicas."""

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.batches.calls import RepeatableRequest
from shared.batches.models import BatchRequest, BatchState, NewPicture
from shared.batches.store import Batches
from shared.errors import NotReplicated
from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.admission import Admission, IdempotencyKey, JobRequest
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import JOB_PREFIX, PICTURE_PREFIX
from shared.jobs.retries import Retries
from shared.jobs.store import Jobs
from tests.support.claims import claim_job
from tests.support.outcomes import fail
from tests.support.processes import RedisServer
from tests.support.replicas import with_replica
from tests.support.wait import eventually

QUEUE = Queue("replicated:")
LIMITS = JobLimits(1000, 10_000_000, 3, 3600, 3600, 3600, 10_000_000)
DATA = b"a picture"
REQUEST = JobRequest(ImageInfo(hashlib.sha256(DATA).hexdigest(), "PNG", 1, 1, len(DATA)), top=3)
KEY = IdempotencyKey("alice", "my key", "f")
A, B, C, BATCH = (letter * 32 for letter in "abcd")


class Bench:
    """A primary, and a replica of it that can be stopped."""

    def __init__(self, client: Any, replica: RedisServer) -> None:
        self.client = client
        self.replica = replica
        self.jobs = Jobs(client, QUEUE, LIMITS, min_replicas=1)
        self.batches = Batches(client, QUEUE, LIMITS, self.jobs.backlog, min_replicas=1)

    def stop_replica(self) -> None:
        self.replica.process.signal(signal.SIGSTOP)

    def resume_replica(self) -> None:
        self.replica.process.signal(signal.SIGCONT)

    def admit(self, job_id: str = A) -> Admission:
        # On a connection that has written nothing yet: Redis would answer falsely for it.
        self.client.connection_pool.disconnect()
        return self.jobs.admit(job_id, REQUEST, KEY, picture=DATA)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with with_replica(tmp_path) as (primary, replica), primary.client() as client:
        yield Bench(client, replica)


def confirmed(found: Any) -> Any:
    """Return what was found if the replica has it."""
    return found if found.replicated else None


def test_record_and_picture_are_on_the_replica(bench: Bench) -> None:
    # When a job is admitted
    assert bench.admit().replicated
    # Then the replica has it at once
    with bench.replica.client() as copy:
        assert copy.hget(QUEUE.key(JOB_PREFIX + A), "state") == "queued"
        assert copy.get(QUEUE.key(PICTURE_PREFIX + A)) == DATA.decode()


def test_a_job_without_its_replica_is_told_so_and_confirmed_by_a_repetition(bench: Bench) -> None:
    # Given a replica that hangs
    bench.stop_replica()
    # When a job is admitted, and again, which changes nothing, Then neither is confirmed
    first, again = bench.admit(A), bench.admit(B)
    assert not first.replicated
    assert not again.replicated
    assert (again.job_id, again.joined) == (A, True)
    # When the replica goes on, Then the same request is confirmed
    bench.resume_replica()
    last = eventually(lambda: confirmed(bench.admit(C)), what="a confirmation")
    assert (last.job_id, last.joined) == (A, True)


def test_more_replicas_than_there_are(bench: Bench) -> None:
    # Given a service that asks for two replicas
    bench.jobs = Jobs(bench.client, QUEUE, LIMITS, min_replicas=2)
    # Then one is not enough
    assert not bench.admit().replicated


def test_a_script_that_the_server_has_forgotten_is_confirmed_too(bench: Bench) -> None:
    bench.admit(A)
    bench.client.script_flush()
    bench.stop_replica()
    assert not bench.jobs.admit(B, REQUEST, picture=DATA).replicated


def test_a_retry_is_confirmed_also_if_it_joins_the_first(bench: Bench) -> None:
    # Given a failed job, whose retry was admitted without its replica
    retries = Retries(bench.jobs, open_image_store("redis:", StoreHistory(bench.client, QUEUE), set_up=True))
    bench.admit(A)
    claim_job(bench.jobs, A)
    fail(bench.jobs, A, {"status": 500, "title": "Model failed", "detail": "D"})
    bench.stop_replica()
    assert not retries.retry(bench.jobs.get(A), B).replicated
    # When it is retried again, Then that is not confirmed either, and its picture stays kept
    assert not retries.retry(bench.jobs.get(A), C).replicated
    assert bench.jobs.kept.job_ids() == [A]
    # When the replica goes on, Then it is confirmed, and the picture goes
    bench.resume_replica()
    last = eventually(lambda: confirmed(retries.retry(bench.jobs.get(A), C)), what="a confirmation")
    assert last.job_id == B
    assert not bench.jobs.kept.job_ids()


def test_pictures_of_a_batch_and_its_end_are_confirmed(bench: Bench) -> None:
    bench.batches.open(BATCH, BatchRequest(top=3))
    request = RepeatableRequest("my key", "f", "the answer")
    pictures = [NewPicture(A, "a.png", REQUEST)]
    # Given a replica that hangs
    bench.stop_replica()
    # Then neither the pictures nor their repetition, in both ways to ask, are confirmed, nor is the end
    assert not bench.batches.add(BATCH, pictures, request, in_redis=False).replicated
    assert not bench.batches.add(BATCH, pictures, request, in_redis=False).replicated
    assert not bench.batches.earlier_answer(BATCH, request).replicated
    with pytest.raises(NotReplicated):
        bench.batches.close(BATCH)
    # When the replica goes on, Then both are
    bench.resume_replica()
    earlier = eventually(lambda: confirmed(bench.batches.earlier_answer(BATCH, request)), what="a confirmation")
    assert earlier.earlier == "the answer"
    assert bench.batches.close(BATCH) is BatchState.CLOSED

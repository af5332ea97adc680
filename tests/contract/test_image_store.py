"""Every image store keeps to the same contract, together with the job records on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.admission import Order
from shared.errors import ImageMissing
from shared.image_store import ImageStore, open_image_store
from shared.job import Claim, Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from tests.support.processes import RedisServer

ORDER = Order(Picture(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4), top=3)
LIMITS = JobLimits(
    max_open_jobs=5, max_stored_bytes=5_000, attempts=3, result_ttl_seconds=100, tombstone_ttl_seconds=200
)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as client:
        client.flushall()
        yield client


class Bench:
    """A store beside the records, as API and worker use them."""

    def __init__(self, client: Any, store: ImageStore) -> None:
        self.client = client
        self.jobs = Jobs(client, LIMITS)
        self.store = store

    def accept(self, job_id: str, data: bytes) -> None:
        self.jobs.admit(job_id, ORDER, picture=self.store.put(job_id, data))

    def fetch(self, job_id: str) -> bytes:
        begun = self.jobs.begin(job_id, Claim("x", "w", 60))
        assert begun is not None
        return self.store.get(job_id, begun.picture)

    def finish(self, job_id: str) -> None:
        self.jobs.fail(job_id, {"status": 422})
        self.store.delete(job_id)


@pytest.fixture(params=["redis:", "file", "memory"])
def bench(request: pytest.FixtureRequest, client: Any, tmp_path: Path) -> Bench:
    url = {"redis:": "redis:", "file": f"file://{tmp_path}/pictures", "memory": "memory://pictures"}[request.param]
    return Bench(client, open_image_store(url))


def test_a_worker_gets_what_was_accepted(bench: Bench) -> None:
    # Given bytes of every value
    data = bytes(range(256)) * 10
    # When they are accepted
    bench.accept("a" * 32, data)
    # Then they come back as they were
    assert bench.fetch("a" * 32) == data


def test_a_missing_picture_is_an_error_of_its_own(bench: Bench) -> None:
    # Given a job whose picture was lost
    bench.accept("c" * 32, b"data")
    bench.store.delete("c" * 32)
    bench.client.delete("image:" + "c" * 32)
    # When it is wanted, Then ImageMissing says so
    with pytest.raises(ImageMissing, match="no longer stored"):
        bench.fetch("c" * 32)


def test_a_finished_job_leaves_no_picture_and_may_be_finished_again(bench: Bench) -> None:
    # Given a picture
    bench.accept("d" * 32, b"data")
    # When its job is finished twice
    bench.finish("d" * 32)
    bench.finish("d" * 32)
    # Then it is gone
    with pytest.raises(ImageMissing):
        bench.store.get("d" * 32, bench.client.get("image:" + "d" * 32) or b"")


def test_pictures_do_not_touch_each_other(bench: Bench) -> None:
    # Given two pictures
    bench.accept("e" * 32, b"one")
    bench.accept("f" * 32, b"two")
    # When the job of one is finished
    bench.finish("e" * 32)
    # Then the other stays
    assert bench.fetch("f" * 32) == b"two"


def test_pictures_in_redis_expire(client: Any) -> None:
    # When a picture is accepted with its record, Then it has a time to live
    Bench(client, open_image_store("redis:")).accept("0" * 32, b"data")
    assert client.ttl("image:" + "0" * 32) > 0

"""Every image store keeps to the same contract, together with the job records on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from shared.admission import Order
from shared.errors import ImageMissing
from shared.image_store import ImageStore, ImageStoreAway, open_image_store
from shared.job import Picture
from shared.job_limits import JobLimits
from shared.jobs import Jobs
from shared.queue import Queue
from shared.settings import SettingsError
from tests.support.claims import claim_job
from tests.support.processes import RedisServer
from tests.support.s3_server import BUCKET, S3Server

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
        self.jobs = Jobs(client, Queue(), LIMITS)
        self.store = store

    def accept(self, job_id: str, data: bytes) -> None:
        self.jobs.admit(job_id, ORDER, picture=self.store.put(job_id, data))

    def fetch(self, job_id: str) -> bytes:
        begun = claim_job(self.jobs, job_id)
        assert begun is not None
        return self.store.get(job_id, begun.picture)

    def finish(self, job_id: str) -> None:
        self.jobs.fail(job_id, {"status": 422})
        self.store.delete(job_id)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_url(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder for pictures on the S3 server, which the environment leads to."""
    lead_to(s3, monkeypatch)
    return f"s3://{BUCKET}/{tmp_path.name}"


def lead_to(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores that are opened from now on be on this server."""
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    # One attempt; s3fs makes five of it.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    as_another_process()


def as_another_process() -> None:
    """Have fsspec forget the stores that this process has opened."""
    for kind in ("s3", "file", "memory"):
        fsspec.get_filesystem_class(kind).clear_instance_cache()


@pytest.fixture(params=["redis:", "file", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return {"redis:": "redis:", "file": f"file://{tmp_path}/pictures", "memory": "memory://pictures"}[request.param]


@pytest.fixture
def bench(url: str, client: Any) -> Bench:
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


def test_what_a_crash_left_behind_is_swept_and_nothing_else(bench: Bench) -> None:
    # Given a picture, and one that another process stores after the first sweep
    bench.accept("1" * 32, b"old")
    bench.store.sweep(3600)
    bench.accept("2" * 32, b"new")
    # When pictures of any age are swept, Then none is left but those in Redis, whose time ends by itself
    assert bench.fetch("2" * 32) == b"new"
    bench.store.sweep(-3600)
    if not bench.client.exists("image:" + "1" * 32):
        with pytest.raises(ImageMissing):
            bench.store.get("1" * 32, b"")


def test_after_a_sweep_a_worker_sees_what_another_process_stores(url: str, client: Any) -> None:
    # Given a worker that has listed its store
    bench = Bench(client, open_image_store(url))
    bench.accept("3" * 32, b"before")
    bench.store.sweep(3600)
    # When another process stores a picture
    as_another_process()
    Bench(client, open_image_store(url)).accept("4" * 32, b"after")
    # Then the worker gets it
    assert bench.fetch("4" * 32) == b"after"


class TestS3:
    def test_nothing_is_left_but_pictures_that_wait(
        self, s3: S3Server, s3_url: str, tmp_path: Path, client: Any
    ) -> None:
        # Given a picture that waits, and one whose job has ended
        bench = Bench(client, open_image_store(s3_url))
        bench.accept("5" * 32, b"waits")
        bench.accept("6" * 32, b"done")
        bench.finish("6" * 32)
        # Then the bucket holds the first, and neither parts nor probes
        assert s3.names(tmp_path.name) == ["5" * 32]

    def test_a_bucket_that_is_not_there_is_an_error_and_not_made(self, s3: S3Server, s3_url: str) -> None:
        assert s3_url
        with pytest.raises(SettingsError, match=r"^IMAGE_STORE_URL: .*bucket does not exist"):
            open_image_store("s3://mistyped/waiting")
        assert s3.buckets() == [BUCKET]

    def test_wrong_credentials_are_an_error_when_it_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a server that does not know ours
        with S3Server(tmp_path, trusting=False) as server:
            lead_to(server, monkeypatch)
            # When a store is opened there, Then it says so
            with pytest.raises(SettingsError, match=r"^IMAGE_STORE_URL: The AWS Access Key Id you provided does not"):
                open_image_store(f"s3://{BUCKET}/waiting")

    def test_a_server_that_is_away_is_an_error_of_a_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a server that ends after a store was opened
        server = S3Server(tmp_path)
        lead_to(server, monkeypatch)
        store = open_image_store(f"s3://{BUCKET}/waiting")
        server.kill()
        # When a picture is wanted, Then it is not called lost: it can be had later
        with pytest.raises(ImageStoreAway, match="Could not connect to the endpoint"):
            store.get("7" * 32, b"")

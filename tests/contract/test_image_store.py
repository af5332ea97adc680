"""Every image store keeps to the same contract, together with the job records on a real server."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from shared.errors import ImageMissing
from shared.images.history import StoreHistory
from shared.images.store import ImageRefused, ImageStore, ImageStoreAway, open_image_store
from shared.jobs.admission import JobRequest
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.settings import SettingsError
from tests.support.claims import claim_job
from tests.support.outcomes import fail
from tests.support.processes import RedisServer
from tests.support.s3_server import BUCKET, S3Server
from tests.support.tcp_proxy import HEALTHY, Fault, TcpProxy
from tests.support.wait import eventually, in_time

REQUEST = JobRequest(ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4), top=3)
LIMITS = JobLimits(
    max_open_jobs=5, max_stored_bytes=5_000, attempts=3, result_ttl_seconds=100, tombstone_ttl_seconds=200
)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as client:
        client.flushall()
        yield client


def open_as_api(url: str, client: Any) -> ImageStore:
    return open_image_store(url, StoreHistory(client, Queue()), set_up=True)


def open_as_worker(url: str, client: Any, patience_seconds: float = 10) -> ImageStore:
    return open_image_store(url, StoreHistory(client, Queue()), patience_seconds)


class Bench:
    """A store beside the records, as API and worker use them."""

    def __init__(self, client: Any, store: ImageStore) -> None:
        self.client = client
        self.jobs = Jobs(client, Queue(), LIMITS)
        self.store = store

    def accept(self, job_id: str, data: bytes) -> None:
        self.jobs.admit(job_id, REQUEST, picture=self.store.put(job_id, data))

    def fetch(self, job_id: str) -> bytes:
        begun = claim_job(self.jobs, job_id)
        assert begun is not None
        return self.store.get(job_id, begun.picture)

    def sweep(self, max_age_seconds: float, is_open: Callable[[str], bool] = lambda _: False) -> None:
        self.store.sweep(max_age_seconds, is_open)

    def finish(self, job_id: str) -> None:
        fail(self.jobs, job_id, {"status": 422})
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
    return Bench(client, open_as_api(url, client))


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
    Bench(client, open_as_api("redis:", client)).accept("0" * 32, b"data")
    assert client.ttl("image:" + "0" * 32) > 0


def test_what_a_crash_left_behind_is_swept_and_nothing_else(bench: Bench) -> None:
    # Given a picture, and one that another process stores after the first sweep
    bench.accept("1" * 32, b"old")
    bench.sweep(3600)
    bench.accept("2" * 32, b"new")
    # When pictures of any age are swept, Then none is left but those in Redis, whose time ends by itself
    assert bench.fetch("2" * 32) == b"new"
    bench.sweep(-3600)
    if not bench.client.exists("image:" + "1" * 32):
        with pytest.raises(ImageMissing):
            bench.store.get("1" * 32, b"")


def test_a_picture_that_a_job_waits_for_is_not_swept_however_old_it_seems(bench: Bench) -> None:
    # Given pictures of an open job and of none, on a host whose clock was set ahead
    bench.accept("8" * 32, b"open")
    bench.accept("9" * 32, b"closed")
    # When they are swept
    bench.sweep(-3600, lambda job_id: job_id == "8" * 32)
    # Then the one that is wanted stays
    assert bench.fetch("8" * 32) == b"open"


def test_after_a_sweep_a_worker_sees_what_another_process_stores(url: str, client: Any) -> None:
    # Given a worker that has listed its store
    bench = Bench(client, open_as_api(url, client))
    bench.accept("3" * 32, b"before")
    bench.sweep(3600)
    # When another process stores a picture
    as_another_process()
    Bench(client, open_as_api(url, client)).accept("4" * 32, b"after")
    # Then the worker gets it
    assert bench.fetch("4" * 32) == b"after"


class TestFolder:
    """A folder that is mounted: taking it away and putting it back stands for unmounting and mounting."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "mount" / "pictures"

    @pytest.fixture
    def bench(self, folder: Path, client: Any) -> Bench:
        bench = Bench(client, open_as_api(folder.as_uri(), client))
        bench.accept("a" * 32, b"data")
        return bench

    @pytest.fixture
    def worker(self, folder: Path, client: Any, bench: Bench) -> ImageStore:
        assert bench
        return open_as_worker(folder.as_uri(), client, patience_seconds=1)

    def unmount(self, folder: Path) -> None:
        folder.parent.rename(folder.parent.with_name("device"))
        folder.parent.mkdir()

    def mount(self, folder: Path) -> None:
        folder.parent.rmdir()
        folder.parent.with_name("device").rename(folder.parent)

    def test_a_worker_takes_a_folder_in_which_an_older_api_has_put_pictures(self, folder: Path, client: Any) -> None:
        # Given a folder without a marker, as APIs had it before there were markers
        folder.mkdir(parents=True)
        (folder / ("b" * 32)).write_bytes(b"data")
        # When a newer worker comes first, as in an upgrade, Then it gets the pictures
        worker = open_as_worker(folder.as_uri(), client, patience_seconds=1)
        assert worker.get("b" * 32, b"") == b"data"
        # And from then on a folder without a marker is away
        self.unmount(folder)
        with pytest.raises(ImageStoreAway, match="is it mounted"):
            worker.get("b" * 32, b"")

    def test_a_picture_is_not_lost_because_the_folder_is_not_mounted(self, worker: ImageStore, folder: Path) -> None:
        # When the folder is unmounted
        self.unmount(folder)
        # Then its pictures are away, and not lost
        with pytest.raises(ImageStoreAway, match="is it mounted"):
            worker.get("a" * 32, b"")
        # And when it is mounted again, they are there
        self.mount(folder)
        assert eventually(lambda: fetched(worker, "a" * 32)) == b"data"

    def test_nobody_makes_the_folder_anew_beneath_the_mount(self, bench: Bench, folder: Path, client: Any) -> None:
        # Given a folder that was unmounted
        self.unmount(folder)
        # When another API and another worker start, and the API stores a picture, as the first one does
        stores = [bench.store, open_as_api(folder.as_uri(), client), open_as_worker(folder.as_uri(), client)]
        for store in stores:
            with pytest.raises(ImageStoreAway):
                store.put("b" * 32, b"data")
        # Then nothing lies beneath the mount
        assert not list(folder.parent.iterdir())
        # And all go on when it is mounted again
        self.mount(folder)
        for store in stores:
            assert eventually(lambda store=store: fetched(store, "a" * 32)) == b"data"  # type: ignore[misc]

    def test_an_empty_folder_beneath_the_mount_is_not_taken_for_the_store(
        self, worker: ImageStore, folder: Path, client: Any
    ) -> None:
        # Given a mount point that is the store's folder itself
        folder.rename(folder.with_name("device"))
        folder.mkdir()
        # Then neither who runs nor who starts takes the empty folder for it
        for store in (worker, open_as_api(folder.as_uri(), client)):
            with pytest.raises(ImageStoreAway):
                store.get("a" * 32, b"")

    def test_an_empty_folder_is_set_up_at_the_first_start(self, client: Any, tmp_path: Path) -> None:
        # Given a fresh volume, on which a worker starts first
        worker = open_as_worker(tmp_path.as_uri(), client)
        # When an API starts and stores a picture
        open_as_api(tmp_path.as_uri(), client).put("b" * 32, b"data")
        # Then the worker has it
        assert eventually(lambda: fetched(worker, "b" * 32)) == b"data"

    def test_it_is_set_up_when_redis_comes_after_the_api(
        self, client: Any, server: RedisServer, tmp_path: Path
    ) -> None:
        # Given an API that starts while Redis is away
        server.stop()
        with server.client() as away:
            store = open_as_api(tmp_path.as_uri(), away)
            with pytest.raises(ImageStoreAway):
                store.put("b" * 32, b"data")
            # When Redis comes, Then pictures are stored
            server.start()
            assert eventually(lambda: stored(store, "b" * 32))
            assert StoreHistory(away, Queue()).knows(str(tmp_path))

    def test_one_picture_that_hangs_is_refused_in_time_and_the_others_are_had(
        self, bench: Bench, worker: ImageStore, folder: Path
    ) -> None:
        # Given a picture whose opening hangs, as on a network file system
        bench.accept("b" * 32, b"other")
        (folder / ("a" * 32)).unlink()
        os.mkfifo(folder / ("a" * 32))
        # When it is read, Then ImageRefused is raised in time, although opening the file still hangs
        with pytest.raises(ImageRefused, match=r"cannot return its picture \(no answer in time\)"):
            worker.get("a" * 32, b"")
        # And the store is not away
        assert worker.get("b" * 32, b"") == b"other"
        # And it is deleted all the same
        worker.delete("a" * 32)

    def test_one_picture_that_fails_is_refused(self, bench: Bench, worker: ImageStore, folder: Path) -> None:
        # Given one that cannot be read
        bench.accept("b" * 32, b"other")
        (folder / ("a" * 32)).unlink()
        (folder / ("a" * 32)).mkdir()
        # When it is wanted, Then it is refused, with a reason that tells no path
        with pytest.raises(ImageRefused, match=r"\(is a directory\)$"):
            worker.get("a" * 32, b"")
        assert worker.get("b" * 32, b"") == b"other"

    def test_a_picture_for_which_there_is_no_memory_is_refused(
        self, worker: ImageStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a picture that does not fit into memory
        def read(_self: Any, path: str, **_: Any) -> bytes:
            raise MemoryError

        monkeypatch.setattr(fsspec.get_filesystem_class("file"), "cat_file", read)
        # Then that is no fault of the store
        with pytest.raises(ImageRefused, match="not enough memory"):
            worker.get("a" * 32, b"")

    def test_a_mount_that_hangs_is_found_once_and_then_costs_nothing(self, worker: ImageStore, folder: Path) -> None:
        # Given a mount on which every opening hangs
        marker = next(path for path in folder.iterdir() if path.name.startswith("."))
        text = marker.read_bytes()
        hanging = [path.with_suffix(".hanging") for path in (folder / ("a" * 32), marker)]
        for path, fifo in zip((folder / ("a" * 32), marker), hanging, strict=True):
            path.unlink()
            os.mkfifo(fifo)
            path.hardlink_to(fifo)
        # When a picture is wanted, Then the store is away
        with pytest.raises(ImageStoreAway):
            worker.get("a" * 32, b"")

        # And who asks next is told at once, however often
        def ask_often() -> None:
            for _ in range(10):
                with pytest.raises(ImageStoreAway):
                    worker.get("a" * 32, b"")

        # One call that waits for the mount would take the store's whole time limit of a second.
        in_time(ask_often, 1, tries=3)
        # And when it answers again, pictures are had
        for path, data in ((folder / ("a" * 32), b"data"), (marker, text)):
            path.unlink()
            path.write_bytes(data)
        assert eventually(lambda: [let_go(fifo) for fifo in hanging] and fetched(worker, "a" * 32)) == b"data"

    def test_a_file_of_somebody_else_is_not_swept(self, bench: Bench, folder: Path) -> None:
        (folder / "notes.txt").write_text("mine", "utf-8")
        bench.sweep(-3600)
        assert (folder / "notes.txt").exists()
        # Nor is what tells the folder from an empty one
        bench.accept("b" * 32, b"data")


def let_go(fifo: Path) -> None:
    """Have whoever hangs in opening it go on."""
    with suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def fetched(store: ImageStore, job_id: str) -> bytes | None:
    with suppress(ImageStoreAway):
        return store.get(job_id, b"")
    return None


def stored(store: ImageStore, job_id: str) -> bool:
    with suppress(ImageStoreAway):
        store.put(job_id, b"data")
        return True
    return False


class TestS3:
    def test_nothing_is_left_but_pictures_that_wait(
        self, s3: S3Server, s3_url: str, tmp_path: Path, client: Any
    ) -> None:
        # Given a picture that waits, and one whose job has ended
        bench = Bench(client, open_as_api(s3_url, client))
        bench.accept("5" * 32, b"waits")
        bench.accept("6" * 32, b"done")
        bench.finish("6" * 32)
        # Then the bucket holds the first, and neither parts nor probes
        assert s3.names(tmp_path.name) == ["5" * 32]

    def test_a_bucket_that_is_not_there_is_an_error_and_not_made(self, s3: S3Server, s3_url: str, client: Any) -> None:
        assert s3_url
        with pytest.raises(SettingsError, match=r"^IMAGE_STORE_URL: .*bucket does not exist"):
            open_as_api("s3://mistyped/waiting", client)
        assert s3.buckets() == [BUCKET]

    def test_wrong_credentials_are_an_error_when_it_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any
    ) -> None:
        # Given a server that does not know ours
        with S3Server(tmp_path, trusting=False) as server:
            lead_to(server, monkeypatch)
            # When a store is opened there, Then it says so
            with pytest.raises(SettingsError, match=r"^IMAGE_STORE_URL: The AWS Access Key Id you provided does not"):
                open_as_api(f"s3://{BUCKET}/waiting", client)

    def test_a_server_that_is_away_is_an_error_of_a_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any
    ) -> None:
        # Given a server that ends after a store was opened
        server = S3Server(tmp_path)
        lead_to(server, monkeypatch)
        store = open_as_api(f"s3://{BUCKET}/waiting", client)
        server.kill()
        # When a picture is wanted, Then it is not called lost: it can be had later
        with pytest.raises(ImageStoreAway, match="Could not connect to the endpoint"):
            store.get("7" * 32, b"")

    def test_a_bucket_that_is_gone_is_away_and_loses_no_picture(self, s3: S3Server, s3_url: str, client: Any) -> None:
        # Given a worker, and a bucket that is not there any more
        open_as_api(s3_url, client)
        worker = open_as_worker(s3_url, client)
        s3.delete_bucket()
        try:
            # When a picture is wanted, Then the store is away, for who starts meanwhile too
            for store in (worker, open_as_worker(s3_url, client)):
                with pytest.raises(ImageStoreAway, match="bucket does not exist"):
                    store.get("7" * 32, b"")
        finally:
            s3.make_bucket()
        # And when it is back, a picture that is not there is missing
        eventually(lambda: missing(worker, "7" * 32), what="a missing picture")

    def test_a_server_that_hangs_is_away_in_time(
        self, s3: S3Server, s3_url: str, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with TcpProxy(s3.port) as line:
            # Given a worker whose line to the store goes deaf
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
            as_another_process()
            worker = open_as_worker(s3_url, client, patience_seconds=1)
            worker.put("7" * 32, b"data")
            line.fault = Fault(black_hole=True)
            # When a picture is read, Then the store counts as unavailable, long before S3's own timeout of a minute
            began = time.monotonic()
            with pytest.raises(ImageStoreAway):
                worker.get("7" * 32, b"")
            assert time.monotonic() - began < 30
            # And when the line is mended, it is had
            line.fault = HEALTHY
            assert eventually(lambda: fetched(worker, "7" * 32)) == b"data"

    def test_one_picture_that_is_denied_is_refused(
        self, s3_url: str, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a store that denies one object
        worker = open_as_worker(s3_url, client)
        worker.put("7" * 32, b"data")
        worker.put("8" * 32, b"other")
        kind = fsspec.get_filesystem_class("s3")
        read = kind._cat_file

        async def read_but_one(self: Any, path: str, **options: Any) -> bytes:
            if path.endswith("7" * 32):
                raise PermissionError("Forbidden")
            return bytes(await read(self, path, **options))

        monkeypatch.setattr(kind, "_cat_file", read_but_one)
        # Then it is refused and the others are had
        with pytest.raises(ImageRefused, match=r"\(access denied\)"):
            worker.get("7" * 32, b"")
        assert worker.get("8" * 32, b"") == b"other"


def missing(store: ImageStore, job_id: str) -> bool:
    try:
        store.get(job_id, b"")
    except ImageMissing:
        return True
    except ImageStoreAway:
        return False
    raise AssertionError("it is there")

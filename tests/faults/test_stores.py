"""Where pictures and records are kept is full, or forgets; who cannot be served is told so, the others are answered."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checks import REFUSAL_SECONDS, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, Upload, stub_picture
from tests.support.processes import RedisServer
from tests.support.supervised import StubService, outlast
from tests.support.wait import eventually

Begin = Callable[[str], History]
KIBIBYTE = 1024
BALLAST_BYTES = 8 * KIBIBYTE**2


def test_the_disk_of_the_image_store_is_full(server: RedisServer, tmp_path: Path, scale: Scale) -> None:
    # Given a service that stores pictures as files
    folder = tmp_path / "pictures"
    service = StubService(server.url, tmp_path / "service", IMAGE_STORE_URL=folder.as_uri())
    try:
        service.start()
        assert service.api is not None
        case = History("disk full in the image store", scale.name, service)
        with case.traffic(scale.jobs, lambda: stub_picture(side=200)):
            eventually(lambda: len(case.accepted) > scale.jobs // 4, 60, "a load")
            # When its files may grow no more (a limit that, other than a small disk, needs no privileges)
            limits = resource.prlimit(service.api.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(service.api.pid, resource.RLIMIT_FSIZE, (64 * KIBIBYTE, limits[1]))
            full = time.monotonic()
            eventually(lambda: len(refused(case, full)) > 10, 60, "refusals")
            # Then uploads are refused, and those that were accepted are answered all the same
            for upload in case.accepted:
                assert service.finished(upload.job_id)["status"] == "succeeded"
            # And no half picture stays
            eventually(lambda: not list(folder.glob("[!.]*")), 10, "an empty folder")
            # And when there is room again, they are accepted again
            resource.prlimit(service.api.pid, resource.RLIMIT_FSIZE, limits)
        settle(case, server)
        assert all("503" in upload.told for upload in refused(case, 0))
    finally:
        service.stop()


def refused(case: History, since: float) -> list[Upload]:
    return [upload for upload in case.uploads if upload.acceptance == "refused" and upload.began >= since]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mount" / "pictures"


@pytest.fixture
def filed(server: RedisServer, tmp_path: Path, folder: Path) -> Iterator[StubService]:
    """A service that stores pictures as files; nothing of it runs yet."""
    service = StubService(server.url, tmp_path / "service", IMAGE_STORE_URL=folder.as_uri())
    yield service
    service.stop()


def test_the_folder_of_the_image_store_is_not_mounted(
    filed: StubService, server: RedisServer, folder: Path, scale: Scale
) -> None:
    # Given jobs that wait
    filed.start_api()
    case = History("image store unmounted", scale.name, filed)
    for _ in range(scale.jobs):
        case.upload(*stub_picture())
    # When the folder is unmounted, and workers and another API start meanwhile
    device = folder.parent.with_name("device")
    folder.parent.rename(device)
    folder.parent.mkdir()
    filed.start_worker()
    filed.start_worker()
    filed.wait_ready(2)
    filed.restart_api()
    outlast(scale.hang_seconds)
    # Then no job ends, uploads are refused, and nothing is made beneath the mount
    for upload in case.accepted:
        assert filed.result(upload.job_id).json()["status"] in ("queued", "running")
    assert case.upload(*stub_picture()).acceptance == "refused"
    assert not list(folder.parent.iterdir())
    # And when it is mounted again, all are answered at their first attempt
    folder.parent.rmdir()
    device.rename(folder.parent)
    for upload in case.accepted:
        record = filed.finished(upload.job_id, 60)
        assert (record["status"], record["attempts"]) == ("succeeded", 1), record
    settle(case, server)


def test_single_pictures_in_the_image_store_hang_or_are_damaged(
    filed: StubService, server: RedisServer, folder: Path, scale: Scale
) -> None:
    # Given jobs that wait, the files of three of which hang, cannot be read or hold other bytes
    filed.start_api()
    case = History("image store: single pictures fail", scale.name, filed)
    bad = [filed.accept(stub_picture()[0]) for _ in range(3)]
    hanging, unreadable, damaged = (folder / job_id for job_id in bad)
    for path in (hanging, unreadable):
        path.unlink()
    os.mkfifo(hanging)
    unreadable.mkdir()
    damaged.write_bytes(damaged.read_bytes()[:-10])
    for _ in range(scale.jobs):
        case.upload(*stub_picture())
    # When workers come
    filed.start_worker()
    # Then all others are answered, and these fail after their attempts, with a reason
    settle(case, server)
    reasons = ("(no answer in time)", "(is a directory)", "returned other bytes than were stored")
    for job_id, reason in zip(bad, reasons, strict=True):
        record = filed.finished(job_id, 60)
        assert record["attempts"] == 3 and reason in record["problem"]["detail"], record


def test_redis_is_at_its_maxmemory(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given jobs in a queue without a worker, and a Redis that takes little more
    service.start_api()
    case = history("Redis at maxmemory")
    with server.client() as client:
        for _ in range(scale.neighbours):
            case.upload(*stub_picture(side=50))
        client.set("ballast", b"x" * BALLAST_BYTES)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 200 * KIBIBYTE)
        # When it is full, Then uploads are refused, promptly
        full = time.monotonic()
        eventually(lambda: case.upload(*stub_picture(side=50)).acceptance == "refused", 60, "a refusal")
        slowest = case.slowest_refusal(full)
        assert slowest is not None and slowest.seconds < REFUSAL_SECONDS
        # And what was accepted is answered, though no more memory comes
        service.start_worker()
        for upload in case.accepted:
            assert service.finished(upload.job_id, 60)["status"] == "succeeded"
        # And when there is room again, uploads are accepted again
        client.delete("ballast")
        with case.traffic(scale.jobs):
            pass
    settle(case, server)


def test_redis_is_told_to_evict(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis with an eviction policy")
    with server.client() as client, case.traffic(scale.jobs, lambda: stub_picture("sleep=0.2", side=50)):
        eventually(lambda: len(case.accepted) > scale.jobs // 4, 60, "a load")
        # When Redis gets a limit of its memory, and a policy by which it drops keys
        client.config_set("maxmemory", client.info("memory")["used_memory"] + BALLAST_BYTES)
        client.config_set("maxmemory-policy", "allkeys-lru")
        told = time.monotonic()
        # Then uploads are refused with the reason
        eventually(lambda: len(refused(case, told)) > 10, 60, "refusals")
        assert all("allkeys-lru" in upload.told for upload in refused(case, told))
        # And what was accepted is answered all the same
        case.read(60)
        assert all(upload.record for upload in case.accepted)
        # And when the policy is right again, uploads are accepted again
        client.config_set("maxmemory-policy", "noeviction")
        before = len(case.accepted)
        eventually(lambda: len(case.accepted) > before, 30, "accepted uploads")
    settle(case, server)


def test_results_expire(server: RedisServer, tmp_path: Path, scale: Scale) -> None:
    # Given a service that keeps results for seconds only
    ttl = str(scale.expiry_seconds)
    service = StubService(server.url, tmp_path / "service", RESULT_TTL_SECONDS=ttl, TOMBSTONE_TTL_SECONDS=ttl)
    try:
        service.start()
        case = History("result expiry", scale.name, service)
        # When many jobs are done, Then each result can be read
        with case.traffic(scale.jobs, per_second=100):
            pass
        row = settle(case, server)
        # And then each is gone, and then forgotten
        ids = [upload.job_id for upload in case.accepted]
        for status in (410, 404):
            eventually(lambda status=status: statuses(service, ids) == {status}, 2 * scale.expiry_seconds, str(status))
        assert row.finished == row.accepted
        # And no key is left of them
        with server.client() as client:
            assert not [key for key in client.scan_iter() if key.partition(":")[2] in ids]
    finally:
        service.stop()


def statuses(service: StubService, ids: list[str]) -> set[int]:
    """Return the different answers to questions after these jobs."""
    return {service.result(job_id).status_code for job_id in ids}

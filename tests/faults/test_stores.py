"""Where pictures and records are kept is full, or forgets; who cannot be served is told so, the others are answered."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.checks import REFUSAL_SECONDS, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, Upload, stub_picture
from tests.support.processes import RedisServer
from tests.support.supervised import StubService
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
            eventually(lambda: not list(folder.iterdir()), 10, "an empty folder")
            # And when there is room again, they are accepted again
            resource.prlimit(service.api.pid, resource.RLIMIT_FSIZE, limits)
        settle(case, server)
        assert all("503" in upload.told for upload in refused(case, 0))
    finally:
        service.stop()


def refused(case: History, since: float) -> list[Upload]:
    return [upload for upload in case.uploads if upload.acceptance == "refused" and upload.began >= since]


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

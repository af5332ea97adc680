"""What is checked of a service while Redis is away and after it, and of the records when a case is over."""

import time

from tests.support.fault_case import History
from tests.support.fault_report import Row
from tests.support.processes import RedisServer
from tests.support.supervised import SupervisedService, outlast
from tests.support.wait import eventually

# How promptly a request must be refused while Redis is away.
REFUSAL_SECONDS = 2.0
IMAGE_TTL_SECONDS = 24 * 3600


def settle(case: History, server: RedisServer, seconds: float = 120) -> Row:
    """Settle the case; then its server's records must say the same."""
    row = case.settle(seconds)
    check_records(server, 30)
    return row


def check_outage(service: SupervisedService, history: History, seconds: float) -> None:
    """Let Redis be away for `seconds`: live stays green, ready turns red, uploads are refused promptly."""
    began = time.monotonic()
    eventually(lambda: not service.is_ready(), 10, "a readiness that tells of the outage")
    noticed = time.monotonic()
    while time.monotonic() < began + seconds:
        assert service.is_live()
        assert not service.is_ready()
        outlast(0.2)
    slowest = history.slowest_refusal(noticed)
    assert slowest is not None, "nobody asked during the outage"
    assert slowest.seconds < REFUSAL_SECONDS, f"a refusal took {slowest.seconds:.2f} s: {slowest.told}"
    accepted = [
        each for each in history.accepted if noticed < each.began and each.began + each.seconds < began + seconds
    ]
    assert not accepted, f"accepted without Redis: {accepted[:3]}"


def check_recovery(service: SupervisedService, workers: int, seconds: float = 60) -> None:
    """API and workers come back by themselves."""
    eventually(service.is_ready, seconds, "readiness after the outage")
    service.wait_ready(workers, seconds)


def check_attempts(server: RedisServer) -> None:
    """Every job that there is has succeeded at its first attempt, also one whose client was told nothing of it."""
    with server.client() as client:
        for key in client.scan_iter("job:*"):
            record = client.hmget(key, "state", "attempts")
            assert record == ["succeeded", "1"], client.hgetall(key)


def check_drained(server: RedisServer, seconds: float, prefix: str = "") -> None:
    """Within `seconds` no job of the service with this prefix is open."""
    with server.client() as client:
        eventually(lambda: not client.zcard(f"{prefix}jobs:open"), seconds, "an end of all open jobs")


def check_records(server: RedisServer, seconds: float, prefix: str = "") -> None:
    """Nothing of the service with this prefix stays open, and every picture that was left behind goes by itself."""
    check_drained(server, seconds, prefix)
    with server.client() as client:
        eventually(lambda: not client.zcard(f"{prefix}jobs:leases"), seconds, "an end of all leases")
        forever = [key for key in client.scan_iter(f"{prefix}image:*") if not 0 < client.ttl(key) <= IMAGE_TTL_SECONDS]
        assert not forever, f"pictures that stay: {forever[:5]}"
        jobs = client.scan_iter(f"{prefix}job:*")
        failed = [key for key in jobs if "Picture lost" in (client.hget(key, "problem") or "")]
        assert not failed, f"jobs without a picture: {failed[:5]}"

"""Redis restarts, dies, is away, hangs; API and workers come back by themselves, and nothing accepted is lost."""

import random
import signal
from collections.abc import Callable

from tests.faults.checks import check_outage, check_recovery, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import History, stub_picture
from tests.support.processes import RedisServer
from tests.support.supervised import StubService, outlast
from tests.support.wait import eventually

Begin = Callable[[str], History]


def test_redis_is_restarted_under_load(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis restart with its append-only file")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        for _ in range(scale.restarts):
            # When Redis is restarted in an orderly way
            outlast(random.uniform(0.5, 1.5))
            server.stop()
            server.start()
            # Then the service is back, by itself
            check_recovery(service, workers=2)
    settle(case, server)


def test_redis_is_killed_during_uploads(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a service that takes pictures in as fast as it can
    service.start(workers=1)
    case = history("Redis kill -9 during uploads")
    with case.traffic(scale.jobs, per_second=200):
        for _ in range(scale.restarts):
            # When Redis is killed among the uploads and comes back
            before = len(case.accepted)
            eventually(lambda before=before: len(case.accepted) > before + 5, 60, "accepted uploads")
            outlast(random.uniform(0, 0.3))
            server.kill()
            server.start()
    # Then every 202 is kept
    settle(case, server)
    check_recovery(service, workers=1)


def test_redis_is_away(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis away")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When Redis is away for long, Then the service says so, at once and truly
        server.kill()
        check_outage(service, case, scale.outage_seconds)
        server.start()
        # And it is back by itself
        check_recovery(service, workers=2)
    settle(case, server)


def test_redis_hangs(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given a service under load
    service.start(workers=2)
    case = history("Redis stopped (SIGSTOP)")
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.1")):
        eventually(lambda: len(case.accepted) > 20, 60, "a load")
        # When Redis accepts connections and does nothing, Then the service says so, at once and truly
        server.process.signal(signal.SIGSTOP)
        try:
            check_outage(service, case, scale.hang_seconds)
        finally:
            server.process.signal(signal.SIGCONT)
        # And it is back by itself
        check_recovery(service, workers=2)
    settle(case, server)

"""A picture that kills its child fails alone, and so do jobs that their clients take back."""

import time
from collections.abc import Callable

import pytest

from tests.faults.checks import settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History, stub_picture
from tests.support.processes import RedisServer
from tests.support.stub_worker import make_picture, read_executions
from tests.support.supervised import StubService, children, outlast
from tests.support.wait import eventually

Begin = Callable[[str], History]
ATTEMPTS = 3
DEADLINE_SECONDS = 2
DEADLINE = f"?deadline={DEADLINE_SECONDS}"

# What a picture does to its child: how its job ends, and after how many attempts.
POISONS = {
    "sigkill": ("Too many attempts", ATTEMPTS),
    "segv": ("Too many attempts", ATTEMPTS),
    "loop": ("Time limit", 1),
    "memory": ("Picture too expensive", 1),
    "raise": ("Model failed", 1),
}


@pytest.mark.parametrize("behaviour", POISONS)
def test_a_poison_picture_fails_alone(
    service: StubService, server: RedisServer, history: Begin, scale: Scale, behaviour: str
) -> None:
    title, attempts = POISONS[behaviour]
    # Given a worker of two children, and neighbours before and after the poison
    service.start_api()
    # (a dead child may be noticed five seconds late)
    service.start_worker(JOB_TIME_LIMIT_SECONDS="10")
    service.wait_ready()
    case = history(f"poison picture ({behaviour})")
    for _ in range(scale.neighbours // 2):
        case.upload(*stub_picture("sleep=0.05"))
    # When a picture comes that ends its child
    poison = case.upload(make_picture(behaviour), Expected("failed", titles=(title,)))
    for _ in range(scale.neighbours - scale.neighbours // 2):
        case.upload(*stub_picture("sleep=0.05"))
    # Then its job fails with the reason, after as many attempts as it may have; its neighbours are answered
    settle(case, server)
    assert poison.record is not None
    assert poison.record["attempts"] == attempts
    assert poison.record["problem"]["detail"]
    assert read_executions(service.executions_file)[poison.digest] == attempts
    # And the worker has all of its children
    assert not service.restarts
    eventually(lambda: len(children(service.workers[0].pid)) == 2, 60, "two children")


def test_what_is_canceled_before_it_begins_is_not_computed(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given jobs that nobody has begun
    service.start_api()
    case = history("canceled before begun")
    uploads = [case.upload(*stub_picture()) for _ in range(scale.neighbours)]
    # When every other one is canceled, and then a worker comes
    canceled = uploads[::2]
    for upload in canceled:
        assert service.cancel(upload.job_id) == 204
        upload.expected = Expected("canceled")
    service.start_worker()
    # Then these were not computed, and the others were
    settle(case, server)
    executed = read_executions(service.executions_file)
    assert not any(executed[upload.digest] for upload in canceled)


def test_a_running_job_may_be_canceled(service: StubService, server: RedisServer, history: Begin, scale: Scale) -> None:
    # Given running jobs
    service.start()
    case = history("canceled while running")
    uploads = [case.upload(make_picture("sleep=1"), Expected("canceled")) for _ in range(2)]
    with server.client() as client:
        eventually(lambda: client.zcard("jobs:leases") == 2, 30, "running jobs")
    # When they are canceled, Then their results are thrown away and the next are answered
    for upload in uploads:
        assert service.cancel(upload.job_id) == 204
    with case.traffic(scale.neighbours):
        pass
    settle(case, server)


def test_what_has_passed_its_deadline_before_it_begins_is_not_computed(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given jobs that nobody has begun, every other one with a deadline
    service.start_api()
    case = history("deadline passed before begun")
    began = time.monotonic()
    expired = Expected("expired")
    late = [case.upload(make_picture(), expired, query=DEADLINE) for _ in range(scale.neighbours)]
    for _ in range(scale.neighbours):
        case.upload(*stub_picture())
    # When the deadlines pass, and then a worker comes
    outlast(max(0, began + DEADLINE_SECONDS + 1 - time.monotonic()))
    service.start_worker()
    # Then these were not computed, and the others were
    settle(case, server)
    executed = read_executions(service.executions_file)
    assert not any(executed[upload.digest] for upload in late)

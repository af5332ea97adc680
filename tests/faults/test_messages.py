"""The broker hands out a message often, early, or one that nobody wrote; the record decides what is done."""

import json
import secrets
from collections.abc import Callable

from celery import Celery

from shared.jobs.queue import JOB_ID, QUEUE_NAME, Queue
from shared.settings import Settings
from tests.faults.checks import settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History, stub_picture
from tests.support.processes import RedisServer
from tests.support.stub_worker import VISIBILITY_TIMEOUT, make_picture, read_executions
from tests.support.supervised import StubService, children, outlast
from tests.support.wait import eventually
from worker.runtime.celery_app import create_celery

Begin = Callable[[str], History]
DELIVERIES = 10
# Four messages for each: fewer than the hundred that are kept.
OTHERS = 24
# What is no message to Celery, or not to kombu.
NOISE = (
    "no JSON %d",
    "%d",
    "[%d]",
    '{"number": %d}',
    '{"body": "%d", "headers": {}}',
    '{"body": 5, "number": %d, "properties": {}}',
    '{"number": %d, "headers": {"task": "noise"}, "properties": {"delivery_tag": "t"}}',
)
SLOW_JOB_SECONDS = 3


def test_each_message_is_delivered_ten_times(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given accepted jobs, and workers that will hear of each ten times
    service.start_api()
    case = history("the same message delivered 10 times")
    with server.client() as client:
        for _ in range(scale.jobs):
            job_id = case.upload(*stub_picture("sleep=0.02")).job_id
            client.lpush(QUEUE_NAME, *[Queue().message.replace(JOB_ID, job_id)] * (DELIVERIES - 1))
    # When two workers take them
    service.start_worker()
    service.start_worker()
    # Then each is classified once
    row = settle(case, server)
    with server.client() as client:
        eventually(lambda: not client.llen("classify"), 60, "an end of the deliveries")
    assert row.accepted == scale.jobs
    assert set(read_executions(service.executions_file).values()) == {1}


def test_the_visibility_timeout_is_shorter_than_a_job(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a broker that hands out again, after a second, what was not acknowledged; and jobs that run for three
    service.start_api()
    service.start_worker(**{VISIBILITY_TIMEOUT: "1"})
    service.start_worker(**{VISIBILITY_TIMEOUT: "1"})
    service.wait_ready(2)
    case = history("visibility timeout shorter than the job")
    # When more is waiting than can run at once
    for _ in range(4):
        case.upload(*stub_picture(f"sleep={SLOW_JOB_SECONDS - 0.5}"))
    with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.05")):
        outlast(SLOW_JOB_SECONDS)
    # Then everything is answered, and done once
    row = settle(case, server)
    assert row.duplicated == 0


def test_a_job_over_its_hard_time_limit_fails_once_and_alone(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a worker
    service.start()
    case = history("job over its hard time limit")
    before = set(children(service.workers[0].pid))
    # When jobs run for ever among others
    endless = [case.upload(make_picture("loop"), Expected("failed", titles=("Time limit",))) for _ in range(2)]
    with case.traffic(scale.jobs):
        pass
    # Then they fail with that reason, after one attempt, and the others are answered
    row = settle(case, server)
    assert row.duplicated == 0
    assert [upload.record["attempts"] for upload in endless if upload.record] == [1, 1]
    # And their children were replaced
    eventually(lambda: len(children(service.workers[0].pid)) == len(before), 30, "new children")
    assert not before & set(children(service.workers[0].pid))


def test_messages_that_nobody_wrote_do_no_harm(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given a worker
    service.start()
    case = history("strange messages")
    # When messages come for jobs that never were, of a later version, for another task, and what is no message
    app = create_celery(Settings.from_environ({"REDIS_URL": server.url}))
    app.send_task("classify", args=[secrets.token_hex(16), 1], queue="classify")
    app.send_task("classify", args=[secrets.token_hex(16), 99, {"later": True}], queue="classify")
    app.send_task("classify", args=[], queue="classify")
    app.send_task("unheard-of", args=[], queue="classify")
    app.close()
    with server.client() as client, case.traffic(scale.jobs):
        client.lpush("classify", json.dumps({"body": "?", "headers": {}, "properties": {}}), "no JSON at all")
        eventually(lambda: not client.llen("classify"), 60, "an empty queue")
    # Then the jobs are answered, by the same worker
    row = settle(case, server)
    assert row.restarted == 0


def test_messages_of_other_programs_are_kept(
    service: StubService, server: RedisServer, history: Begin, scale: Scale
) -> None:
    # Given two workers
    service.start(workers=2)
    case = history("messages of other programs")
    other = Celery("other", broker=server.url, set_as_current=False)
    sent: set[str] = set()

    def send(number: int) -> None:
        """Put a task and what is no task on the queue."""
        other.send_task(f"mail-{number}", args=[number], task_id=f"letter-{number}", queue=QUEUE_NAME)
        noise = NOISE[number % len(NOISE)] % number
        client.lpush(QUEUE_NAME, noise)
        sent.update((f"letter-{number}", noise))

    with server.client() as client:
        # When another program puts its messages on the queue, while nothing else is there and under load
        for number in range(OTHERS):
            send(number)
        eventually(lambda: not client.llen(QUEUE_NAME), 30, "an empty queue")
        with case.traffic(scale.jobs, lambda: stub_picture("sleep=0.05"), per_second=60):
            for number in range(OTHERS, 2 * OTHERS):
                before = len(case.accepted)
                send(number)
                eventually(lambda before=before: len(case.accepted) > before, 60, "an accepted upload")
        # Then the jobs are answered, by the same workers
        row = settle(case, server)
        assert (row.duplicated, row.restarted) == (0, 0)
        # And every message is kept and counted
        kept = client.lrange("jobs:foreign", 0, -1)
    assert {json.loads(text)["headers"]["id"] if "letter-" in text else text for text in kept} == sent
    logged = "".join(worker.output for worker in service.workers)
    assert logged.count("A message of another program") == len(sent)
    assert all(f": mail-{number}" in logged for number in range(2 * OTHERS))

"""The message of a job is what Celery itself would publish, as far as its workers read it."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claimed
from shared.jobs.limits import limits_of
from shared.jobs.models import ImageInfo
from shared.jobs.queue import JOB_ID, QUEUE_NAME, TASK_NAME, Queue
from shared.jobs.store import Jobs
from shared.settings import Settings
from tests.support.claims import claim_next, new_claim
from tests.support.processes import RedisServer
from worker.jobs.foreign import ForeignMessages
from worker.metrics import WorkerMetrics
from worker.runtime.celery_app import create_celery


def published_by_celery(server: RedisServer, job_id: str) -> Any:
    app = create_celery(Settings.from_environ({"REDIS_URL": server.url}))
    with server.client() as client:
        client.flushall()
        app.send_task(TASK_NAME, args=[job_id, 1], task_id=job_id)
        app.close()
        return json.loads(client.rpop(QUEUE_NAME))


def test_the_message_says_what_celery_would_say(redis_server: RedisServer) -> None:
    # Given what Celery publishes for a job
    theirs = published_by_celery(redis_server, "a" * 32)
    # When it is compared with ours
    ours = json.loads(Queue().message.replace(JOB_ID, "a" * 32))
    # Then task, arguments, ids, types and route are the same
    assert json.loads(base64.b64decode(theirs["body"]))[:2] == json.loads(ours["body"])[:2]
    assert ours["headers"] == {name: theirs["headers"][name] for name in ours["headers"]}
    for name in ("content-type", "content-encoding"):
        assert ours[name] == theirs[name]
    for name in ("correlation_id", "delivery_info", "priority"):
        assert ours["properties"][name] == theirs["properties"][name]


def test_a_job_that_celery_published_is_begun_from_the_queue(redis_server: RedisServer) -> None:
    # Given a job whose message Celery itself has written, as an older API does
    message = json.dumps(published_by_celery(redis_server, "b" * 32))
    with redis_server.client() as client:
        jobs = Jobs(client, Queue(), limits_of(Settings.from_environ({})))
        jobs.admit("b" * 32, JobRequest(ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4), top=3))
        client.delete(QUEUE_NAME)
        client.lpush(QUEUE_NAME, message)
        # When a worker asks for the next job, Then it is this one
        begun = claim_next(jobs)
        assert begun is not None and begun.job.id == "b" * 32


def test_a_message_that_is_not_in_json_is_moved_aside(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        # Given a job whose message is a pickle
        jobs = Jobs(client, Queue(), limits_of(Settings.from_environ({})))
        jobs.admit("c" * 32, JobRequest(ImageInfo(sha256="0" * 64, format="JPEG", width=1, height=1, bytes=4), top=3))
        message = json.loads(client.rpop(QUEUE_NAME))
        client.lpush(QUEUE_NAME, json.dumps({**message, "content-type": "application/x-python-serialize"}))
        # When a worker asks for the next job, Then there is none, and the message was named
        assert jobs.claim(new_claim()) == Claimed([], ["classify"])
        assert not client.llen(QUEUE_NAME)


@pytest.fixture
def take_in(client: Any) -> Callable[[bytes], str | None]:
    """What a worker does with a message that it has taken from the queue."""
    return ForeignMessages(client, Queue(), WorkerMetrics(CollectorRegistry())).take_in


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no JSON",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"5",
        b"null",
        b'"classify"',
        b"[]",
        b"{}",
        b'{"content-type": "application/json", "headers": []}',
        b'{"content-type": "application/json", "headers": {"task": "mail", "id": "j"}}',
        b'{"content-type": "application/json", "headers": {"task": ["classify"], "id": "j"}}',
        b'{"content-type": "application/json", "headers": {"task": "classify"}}',
        b'{"content-type": "application/json", "headers": {"task": "classify", "id": "\\ud800"}}',
        b'{"content-type": "application/x-python-serialize", "headers": {"task": "classify", "id": "j"}}',
    ],
)
def test_what_is_no_message_of_a_job_is_moved_aside_as_it_is(
    redis_server: RedisServer, take_in: Callable[[bytes], str | None], message: bytes
) -> None:
    # When a worker takes it from the queue, Then Celery does not see it
    assert take_in(message) is None
    # And it is kept, byte for byte
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.lrange("jobs:foreign", 0, -1) == [message]


@pytest.mark.parametrize("part", ["body", "content-encoding", "properties"])
def test_a_job_is_delivered_whatever_else_its_message_lacks(take_in: Callable[[bytes], str | None], part: str) -> None:
    # Given the message of a job without a part that kombu and Celery need
    whole = json.loads(Queue().message.replace(JOB_ID, "d" * 32))
    damaged = json.dumps({name: value for name, value in whole.items() if name != part})
    # When a worker takes it from the queue, Then Celery gets the whole, and the tag of this delivery
    taken = json.loads(take_in(damaged.encode()) or "")
    tag = taken["properties"].pop("delivery_tag")
    whole["properties"].pop("delivery_tag")
    (arguments, *options), theirs = json.loads(whole.pop("body")), json.loads(taken.pop("body"))
    assert (taken, theirs) == (whole, [[*arguments, tag], *options])


def test_each_delivery_of_a_job_has_its_own_tag(take_in: Callable[[bytes], str | None]) -> None:
    # Given a job that is delivered, whose delivery is put back as it is, when Celery stops
    first = take_in(Queue().message.replace(JOB_ID, "e" * 32).encode()) or ""
    # When it is delivered again, Then only its tags differ
    second = take_in(first.encode()) or ""
    one, other = (json.loads(message)["properties"]["delivery_tag"] for message in (first, second))
    assert one != other
    assert first.replace(one, other) == second

"""What was sent to the wrong queue is kept as it was, so that it can be sent again."""

import json

import fakeredis
import pytest
from prometheus_client import CollectorRegistry

from shared.jobs.calls import MAX_FOREIGN
from shared.jobs.queue import JOB_ID, Queue
from worker.jobs.foreign import ForeignMessages
from worker.metrics import WorkerMetrics

QUEUE = Queue("p:")


def message_of(task: str, job_id: str, content_type: str = "application/json") -> bytes:
    return json.dumps({"headers": {"task": task, "id": job_id}, "content-type": content_type}).encode()


@pytest.mark.parametrize(
    "message",
    [
        *[message_of("shop.mail", "1"), message_of("classify", "no id"), message_of("classify", "1", "text/plain")],
        *[b"no JSON", b"\xff\x00", b"", b"[]", b"5", b'{"headers": 5}', b"[" * 100_000],
    ],
)
def test_a_message_of_another_program_is_kept_as_it_was(message: bytes) -> None:
    # When a message comes off the queue that is about no job
    client = fakeredis.FakeRedis()
    registry = CollectorRegistry()
    taken = ForeignMessages(client, QUEUE, WorkerMetrics(registry)).take_in(message)
    # Then Celery does not get it, the same bytes are in the list, and it was counted
    assert taken is None
    assert client.lrange("p:jobs:foreign", 0, -1) == [message]
    assert registry.get_sample_value("topthree_foreign_messages_total") == 1


def test_the_newest_messages_of_other_programs_are_kept() -> None:
    # Given one message more than the limit
    client = fakeredis.FakeRedis()
    foreign = ForeignMessages(client, QUEUE, WorkerMetrics(CollectorRegistry()))
    for number in range(MAX_FOREIGN + 1):
        foreign.take_in(f"message {number}".encode())
    # Then only the oldest is missing
    kept = client.lrange("p:jobs:foreign", 0, -1)
    assert (len(kept), kept[0], kept[-1]) == (MAX_FOREIGN, f"message {MAX_FOREIGN}".encode(), b"message 1")


def test_a_message_that_cannot_be_saved_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    # Given a Redis that does not answer
    server = fakeredis.FakeServer()
    server.connected = False
    foreign = ForeignMessages(fakeredis.FakeRedis(server=server), QUEUE, WorkerMetrics(CollectorRegistry()))
    # When a message of another program arrives, Then it is logged and not passed to Celery
    assert foreign.take_in(b"a message") is None
    assert "a message" in caplog.text


def test_a_message_of_a_job_is_handed_on() -> None:
    client = fakeredis.FakeRedis()
    message = QUEUE.message.replace(JOB_ID, "a" * 32)
    taken = ForeignMessages(client, QUEUE, WorkerMetrics(CollectorRegistry())).take_in(message.encode())
    assert taken is not None and json.loads(taken)["headers"] == json.loads(message)["headers"]
    assert not client.keys()

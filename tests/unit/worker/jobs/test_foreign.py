"""What was sent to the wrong queue is kept as it was, so that it can be sent again."""

import json

import fakeredis
import pytest
from prometheus_client import CollectorRegistry

from shared.jobs.queue import JOB_ID, Queue
from worker.jobs.foreign import ForeignMessages
from worker.metrics import WorkerMetrics

QUEUE = Queue("p:")
OTHER_TASK = json.dumps({"headers": {"task": "shop.mail", "id": "1"}, "content-type": "application/json"}).encode()


@pytest.mark.parametrize(
    "message", [OTHER_TASK, b"no JSON", b"\xff\x00", b"", b"[]", b"5", b'{"headers": 5}', b"[" * 100_000]
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


def test_a_message_of_a_job_is_handed_on() -> None:
    client = fakeredis.FakeRedis()
    message = QUEUE.message.replace(JOB_ID, "a" * 32)
    assert ForeignMessages(client, QUEUE, WorkerMetrics(CollectorRegistry())).take_in(message.encode()) == message
    assert not client.keys()

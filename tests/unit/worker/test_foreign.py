"""What was sent to the wrong queue is kept as it was, so that it can be sent again."""

import base64
import json

import fakeredis
import pytest
from kombu import Connection
from prometheus_client import CollectorRegistry

from shared.queue import Queue
from worker.foreign import ForeignMessages
from worker.metrics import WorkerMetrics

PICKLE = base64.b64encode(b"\x80\x04\x95\xff").decode()


@pytest.mark.parametrize(("body", "encoding"), [(PICKLE, {"body_encoding": "base64"}), ('[["\u00fc"], {}, {}]', {})])
def test_a_message_that_celery_has_taken_is_kept_as_it_was(body: str, encoding: dict[str, str]) -> None:
    # Given a message of another program, as Celery hands it over
    sent = {
        "body": body,
        "content-type": "application/x-python-serialize",
        "content-encoding": "binary",
        "headers": {"task": "shop.mail", "id": "1"},
        "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "q"}, **encoding},
    }
    with Connection("memory://") as connection:
        message = connection.channel().message_to_python(json.loads(json.dumps(sent)))
    # When it is kept
    client = fakeredis.FakeRedis(decode_responses=True)
    registry = CollectorRegistry()
    ForeignMessages(client, Queue("p:"), WorkerMetrics(registry)).keep(message)
    # Then it is in the list as it was sent, and was counted
    (kept,) = client.lrange("p:jobs:foreign", 0, -1)
    assert json.loads(kept) == sent
    assert registry.get_sample_value("topthree_foreign_messages_total") == 1

"""Messages are those of Standard Webhooks: its public library verifies them."""

import json
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.jobs.models import ImageInfo, Job, JobState
from shared.webhook_secrets import secret_of, spelled
from worker.webhooks.message import body_of, signed_headers

OLD, NEW = b"o" * 32, b"n" * 32
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "Löwe"}}
PICTURE = ImageInfo("0" * 64, "PNG", 1, 1, 4)
MODEL = {"name": "m", "digest": "d"}
ENDED_MS = 1_790_000_000_123
JOB = Job("j", JobState.SUCCEEDED, PICTURE, 1, 1, ENDED_MS - 5, 0, ENDED_MS, "w", MODEL, LABELS, None, 1, "", "")


def test_the_body_has_type_time_and_what_get_answers() -> None:
    assert json.loads(body_of(JOB)) == {
        "type": "job.succeeded",
        "timestamp": "2026-09-21T14:13:20.123+00:00",
        "data": {
            "id": "j",
            "status": "succeeded",
            "result": LABELS,
            "model": MODEL,
            "worker": "w",
            "attempts": 1,
            "times": {"accepted": "2026-09-21T14:13:20.118+00:00", "finished": "2026-09-21T14:13:20.123+00:00"},
        },
    }


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_either_of_two_secrets_verifies_a_message(secret: bytes) -> None:
    body = body_of(JOB)
    headers = signed_headers("msg_j", time.time(), body, [OLD, NEW])
    verified = Webhook(spelled(secret)).verify(body, headers)
    assert verified == json.loads(body)
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_the_signature_is_the_librarys() -> None:
    body, now = body_of(JOB), 1_790_000_000.9
    expected = Webhook(spelled(NEW)).sign("msg_j", datetime.fromtimestamp(now, UTC), body.decode())
    assert signed_headers("msg_j", now, body, [NEW])["webhook-signature"] == expected


def test_another_secret_body_or_time_is_not_verified() -> None:
    body, now = body_of(JOB), time.time()
    headers = signed_headers("msg_j", now, body, [secret_of(OLD, "alice")])
    for key, data, sent in (
        (secret_of(OLD, "bob"), body, headers),
        (OLD, body, headers),
        (secret_of(OLD, "alice"), body + b" ", headers),
        (secret_of(OLD, "alice"), body, {**headers, "webhook-timestamp": str(int(now) - 1)}),
        (secret_of(OLD, "alice"), body, {**headers, "webhook-id": "msg_k"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(data, sent)
    assert Webhook(secret_of(OLD, "alice")).verify(body, headers)

"""The message of a webhook: its body, and the headers that sign it as Standard Webhooks describes."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable

from shared.batches.answer import batch_answer
from shared.batches.models import Batch
from shared.jobs.answer import answer_of, as_timestamp
from shared.jobs.models import Job


def body_of(subject: Job | Batch) -> bytes:
    """Return the body for a job or batch that has ended; `data` is what `GET` of it answers."""
    kind, data = ("batch", batch_answer(subject)) if isinstance(subject, Batch) else ("job", answer_of(subject))
    message = {"type": f"{kind}.{subject.state}", "timestamp": as_timestamp(subject.finished_ms), "data": data}
    return json.dumps(message, separators=(",", ":")).encode()


def signed_headers(message_id: str, now_seconds: float, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """Return the headers of one attempt, with a signature by each secret."""
    timestamp = str(int(now_seconds))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }

"""The message of a webhook: its body, and the headers that sign it as Standard Webhooks describes."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable

from shared.jobs.answer import answer_of, as_timestamp
from shared.jobs.models import Job


def body_of(job: Job) -> bytes:
    """Return the body for a job that has ended; `data` is what `GET /result/<id>` answers."""
    message = {"type": f"job.{job.state}", "timestamp": as_timestamp(job.finished_ms), "data": answer_of(job)}
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

"""Input and result of admitting a job."""

import hashlib
import secrets
from dataclasses import dataclass

from shared.jobs.models import ImageInfo

# The most labels that a request may ask for; results are cached with this many.
MAX_TOP = 10
# While so many deliveries wait for their receivers, uploads with a webhook are refused: each takes 2 to 5 KB in Redis.
MAX_DELIVERIES = 100_000


@dataclass(frozen=True)
class JobRequest:
    """A client's request for `top` labels of a picture, to be started within `deadline_seconds` (0: no deadline).

    Labels below `min_confidence` (0 to 1) are left out. `owner` is the name of the client's API key, "" without keys;
    `request_id` is the id of the HTTP request, and `traceparent` names its span, "" without traces. `retry_of` is the
    id of the failed job to retry, "" for an upload. `webhook` is the URL that the outcome is sent to, "" for none.
    """

    picture: ImageInfo
    top: int
    deadline_seconds: float = 0
    owner: str = ""
    request_id: str = ""
    traceparent: str = ""
    min_confidence: float = 0
    retry_of: str = ""
    webhook: str = ""


@dataclass(frozen=True)
class IdempotencyKey:
    """A key chosen by a client for a request with this `fingerprint`; keys are unique within a `scope`."""

    scope: str
    key: str
    fingerprint: str

    @property
    def redis_key(self) -> str:
        """Name of the Redis key; hashed, because clients may choose any text of any length."""
        return "idempotency:" + hashlib.sha256(f"{self.scope}\n{self.key}".encode()).hexdigest()


@dataclass(frozen=True)
class Admission:
    """The job for a request, new or `joined`, and its position in the queue: 1 for the next to start.

    If `known`, the result was cached and the job has already ended. `replicated` is whether as many replicas of Redis
    have the job as `REDIS_MIN_REPLICAS` says.
    """

    job_id: str
    position: int
    joined: bool
    known: bool
    replicated: bool = True


def new_job_id() -> str:
    """Return a random, unguessable id."""
    return secrets.token_hex(16)

"""What goes into an admission, and what comes out of it."""

import hashlib
from dataclasses import dataclass

from shared.jobs.models import ImageInfo


@dataclass(frozen=True)
class JobRequest:
    """What a client wants: how many labels of which picture, begun within so many seconds (0: whenever).

    `owner` is the name of the client's API key, "" without keys; `request_id` is what its request is called.
    """

    picture: ImageInfo
    top: int
    deadline_seconds: float = 0
    owner: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class IdempotencyKey:
    """A key that a client chose, within its `scope`, for a request with this `fingerprint`."""

    scope: str
    key: str
    fingerprint: str

    @property
    def redis_key(self) -> str:
        """Name of its Redis key; hashed, as clients may choose any text of any length."""
        return "idempotency:" + hashlib.sha256(f"{self.scope}\n{self.key}".encode()).hexdigest()


@dataclass(frozen=True)
class Admission:
    """The job that answers a request, new or `joined`, and its place in the queue, 1 for the next to begin.

    A job whose result was `known` has ended already.
    """

    job_id: str
    position: int
    joined: bool
    known: bool

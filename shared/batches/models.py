"""Batch records, their states, and the pictures in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.jobs.admission import JobRequest
from shared.result_cache import KnownResult

# The states of jobs that have ended, as a batch counts them.
ENDS = ("succeeded", "failed", "canceled", "expired")


class BatchState(StrEnum):
    """State of a batch; the values are stored in Redis and, but for the last one, shown to clients."""

    OPEN = "open"
    CLOSED = "closed"
    """It takes no more pictures, and some have not ended."""
    COMPLETED = "completed"
    CANCELED = "canceled"
    DELETED = "deleted"

    @property
    def terminal(self) -> bool:
        """Whether the batch has ended."""
        return self not in (BatchState.OPEN, BatchState.CLOSED)


@dataclass(frozen=True)
class BatchRequest:
    """A client's request for a batch: what holds for each of its pictures (see JobRequest), and the batch's webhook."""

    top: int
    min_confidence: float = 0
    webhook: str = ""
    owner: str = ""
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch; times are milliseconds since the epoch on Redis' clock, 0 for "not yet".

    `added` is the number of its pictures; `ends` counts those that have ended, by the state of their jobs.
    """

    id: str
    state: BatchState
    added: int
    ends: Mapping[str, int]
    opened_ms: int
    closed_ms: int
    finished_ms: int
    top: int
    min_confidence: float
    webhook: str
    owner: str
    request_id: str
    traceparent: str

    @classmethod
    def from_hash(cls, batch_id: str, record: Mapping[str, str]) -> "Batch":
        """Parse the Redis hash `record`, which must not be empty; unknown fields are ignored."""
        return cls(
            id=batch_id,
            state=BatchState(record["state"]),
            added=int(record["added"]),
            ends={state: int(record.get(state, 0)) for state in ENDS},
            opened_ms=int(record["opened_ms"]),
            closed_ms=int(record.get("closed_ms", 0)),
            finished_ms=int(record.get("finished_ms", 0)),
            top=int(record["top"]),
            min_confidence=float(record.get("min_confidence", 0)),
            webhook=record.get("webhook", ""),
            owner=record.get("owner", ""),
            request_id=record.get("request_id", ""),
            traceparent=record.get("traceparent", ""),
        )


@dataclass(frozen=True)
class NewPicture:
    """A picture to add to a batch as the job `job_id`; `name` is the client's, `known` its cached result, if any."""

    job_id: str
    name: str
    request: JobRequest
    known: KnownResult | None = None


@dataclass(frozen=True)
class BatchResult:
    """A picture of a batch that has ended: its place from 1, its name and job, and the outcome of the job.

    `model` is the name and digest of the model that gave the labels.
    """

    number: int
    name: str
    job_id: str
    status: str
    result: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    model: Mapping[str, str] | None = None

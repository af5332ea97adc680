"""Job records, their states, and the values that jobs are claimed and ended with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FORMAT_VERSION = 1


class JobState(StrEnum):
    """State of a job; the values are stored in Redis and shown to clients."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether a job in this state never changes again."""
        return not TRANSITIONS[self]


# Queued jobs may succeed or fail: the late result of an attempt whose lease has ended still counts.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}
    ),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset(),
}


class Requeued(StrEnum):
    """Result of giving up an attempt."""

    QUEUED = "queued"
    """The job is queued again."""
    EXHAUSTED = "exhausted"
    """The job has failed: this was its last attempt."""
    NONE = ""
    """Nothing changed: the execution does not hold the job, or the lease has not ended."""


@dataclass(frozen=True)
class ImageInfo:
    """Digest, format and size (pixels, bytes) of an uploaded picture, read from its bytes and header."""

    sha256: str
    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class Job:
    """One picture to classify; times are milliseconds since the epoch on Redis' clock, 0 for "not yet".

    `owner` is the name of the API key that it was uploaded with, "" without keys; `request_id` is that of the upload.
    """

    id: str
    state: JobState
    picture: ImageInfo
    top: int
    attempts: int
    accepted_ms: int
    begun_ms: int
    finished_ms: int
    worker: str
    model: Mapping[str, str]
    result: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    format_version: int
    owner: str
    request_id: str

    @classmethod
    def from_hash(cls, job_id: str, record: Mapping[str, str]) -> "Job":
        """Parse the Redis hash `record`, which must not be empty; unknown fields are ignored."""
        return cls(
            id=job_id,
            state=JobState(record["state"]),
            picture=ImageInfo(
                sha256=record["sha256"],
                format=record["format"],
                width=int(record["width"]),
                height=int(record["height"]),
                bytes=int(record["bytes"]),
            ),
            top=int(record["top"]),
            attempts=int(record["attempts"]),
            accepted_ms=int(record["accepted_ms"]),
            begun_ms=int(record.get("begun_ms", 0)),
            finished_ms=int(record.get("finished_ms", 0)),
            worker=record.get("worker", ""),
            model=json.loads(record.get("model", "{}")),
            result=_load(record.get("result")),
            problem=_load(record.get("problem")),
            format_version=int(record["format_version"]),
            owner=record.get("owner", ""),
            request_id=record.get("request_id", ""),
        )


@dataclass(frozen=True)
class Claim:
    """A request for up to `most` jobs, which the `execution` on `worker` holds under a lease of `lease_seconds`.

    Every claim needs a new execution: a second claim with the same one counts as the first one sent again.
    """

    execution: str
    worker: str
    lease_seconds: float
    most: int = 1


@dataclass(frozen=True)
class CacheEntry:
    """A result cache entry: key without prefix, JSON value, time to live."""

    key: str
    value: str
    ttl_seconds: int


@dataclass(frozen=True)
class Outcome:
    """How a job ends: terminal state, fields to write to its record, and an entry for the result cache, if any."""

    state: JobState
    fields: Mapping[str, str]
    entry: CacheEntry | None = None

    @classmethod
    def succeeded(
        cls, result: Mapping[str, Any], model: Mapping[str, str], entry: CacheEntry | None = None
    ) -> "Outcome":
        """Return the outcome of a job that `model` has given labels to."""
        return cls(JobState.SUCCEEDED, {"result": json.dumps(result), "model": json.dumps(model)}, entry)

    @classmethod
    def failed(cls, problem: Mapping[str, Any], state: JobState = JobState.FAILED) -> "Outcome":
        """Return the outcome of a job that ends without labels; `problem` has `status`, `title` and `detail`."""
        return cls(state, {"problem": json.dumps(problem)})


@dataclass(frozen=True)
class ClaimedJob:
    """A job that an execution holds; `picture` is empty unless pictures are stored in Redis."""

    job: Job
    picture: bytes
    execution: str


@dataclass(frozen=True)
class EndNotice:
    """The message that is published when a job ends: its id and its record (JSON)."""

    job_id: str
    record: str

    @classmethod
    def parse(cls, message: str) -> "EndNotice":
        """Split a message into id and record, without parsing JSON.

        Every API process gets a notice for every job, and needs the records of only a few.
        """
        job_id, _, record = message[2:].partition('",')
        return cls(job_id, record[:-1])

    def job(self) -> Job:
        """Parse the record; return the ended job."""
        flat = json.loads(self.record)
        return Job.from_hash(self.job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _load(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None

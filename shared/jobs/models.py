"""Job records, their states, and the values that jobs are claimed and ended with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

FORMAT_VERSION = 1
# That of jobs in batches, so that workers of versions without batches, which would not count their ends, leave them.
BATCH_FORMAT_VERSION = FORMAT_VERSION + 1


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
    KEPT = "kept"
    """The same, and its picture stays, as with `Ended.KEPT`."""
    NONE = ""
    """Nothing changed: the execution does not hold the job, or the lease has not ended."""


class Ended(IntEnum):
    """Result of ending a job; false if nothing changed."""

    NO = 0
    """The job had ended before, or another execution holds it."""
    YES = 1
    """The job has ended, and its picture is no longer needed."""
    KEPT = 2
    """The job has ended, and its picture stays: for a retry, or for a replica that may be promoted without this end."""


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
    `result` has no labels below the `min_confidence` of the upload. `retry_of` is the id of the failed job that is
    retried, `webhook` the URL that the outcome is sent to, "" for none. `poison`: the process died at each attempt.
    `kept_until_ms` says how long the picture of a failed job is kept, unless it is retried or deleted before; 0 if it
    is not kept. `published_ms` is when its message was published last. `traceparent` names the span of the upload, ""
    without traces.
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
    min_confidence: float = 0
    retry_of: str = ""
    webhook: str = ""
    poison: bool = False
    kept_until_ms: int = 0
    published_ms: int = 0
    traceparent: str = ""

    @classmethod
    def from_hash(cls, job_id: str, record: Mapping[str, str]) -> "Job":
        """Parse the Redis hash `record`, which must not be empty; unknown fields are ignored."""
        min_confidence = float(record.get("min_confidence", 0))
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
            # Here and not in the worker: a worker of an older version writes all labels.
            result=labels_from(min_confidence, _load(record.get("result"))),
            problem=_load(record.get("problem")),
            format_version=int(record["format_version"]),
            owner=record.get("owner", ""),
            request_id=record.get("request_id", ""),
            min_confidence=min_confidence,
            retry_of=record.get("retry_of", ""),
            webhook=record.get("webhook", ""),
            poison="poison" in record,
            kept_until_ms=int(record.get("kept_until_ms", 0)),
            published_ms=int(record.get("published_ms", 0)),
            traceparent=record.get("traceparent", ""),
        )


@dataclass(frozen=True)
class Origin:
    """What logs and traces need to know of a job: its request and that one's span, and when it was begun last."""

    request_id: str = ""
    traceparent: str = ""
    begun_ms: int = 0


@dataclass(frozen=True)
class CacheEntry:
    """A result cache entry: key without prefix, JSON value, time to live."""

    key: str
    value: str
    ttl_seconds: int


@dataclass(frozen=True)
class Outcome:
    """How a job ends: terminal state, fields to write to its record, and an entry for the result cache, if any.

    `retryable`: the job fails by a fault of the service, and another attempt may succeed.
    """

    state: JobState
    fields: Mapping[str, str]
    entry: CacheEntry | None = None
    retryable: bool = False

    @classmethod
    def succeeded(
        cls, result: Mapping[str, Any], model: Mapping[str, str], entry: CacheEntry | None = None
    ) -> "Outcome":
        """Return the outcome of a job that succeeded with labels from `model`."""
        return cls(JobState.SUCCEEDED, {"result": json.dumps(result), "model": json.dumps(model)}, entry)

    @classmethod
    def failed(
        cls,
        problem: Mapping[str, Any],
        state: JobState = JobState.FAILED,
        *,
        poison: bool = False,
        picture_lost: bool = False,
    ) -> "Outcome":
        """Return the outcome of a job that ends without labels; `problem` has `status`, `title` and `detail`.

        `poison`: the process died at each attempt. `picture_lost`: there is no picture for another one.
        """
        fields = {"problem": json.dumps(problem)} | ({"poison": "1"} if poison else {})
        is_own_fault = state is JobState.FAILED and problem["status"] >= 500
        return cls(state, fields, retryable=is_own_fault and not picture_lost)


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


def labels_from(min_confidence: float, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the labels that have at least this confidence; the most likely one comes first."""
    if not min_confidence or result is None:
        return result
    return {place: label for place, label in result.items() if label["confidence_level"] >= min_confidence}


def _load(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None

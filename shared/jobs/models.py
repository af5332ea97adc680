"""The job record and the states it moves through."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FORMAT_VERSION = 1


class JobState(StrEnum):
    """Where a job is; the values are stored in Redis and shown to clients."""

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


# A late result of an attempt whose lease ended meets a job that is queued again: it still counts.
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
    """What became of a job whose attempt was given up."""

    QUEUED = "queued"
    """It waits again."""
    EXHAUSTED = "exhausted"
    """It has failed, as it was begun as often as it may be."""
    NONE = ""
    """Nothing: another execution holds it, or none, or its lease is live."""


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an uploaded picture from its header: sizes in bytes and pixels."""

    sha256: str
    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class Job:
    """One picture to classify; times are milliseconds since the epoch on Redis' clock, 0 for "not yet".

    `owner` is the name of the API key that made it, "" for nobody's; `request_id` is what that request was called.
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
        """Read the Redis hash `record`, which is not empty; fields of later versions are ignored."""
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
    """Who takes jobs: an execution on a worker, under a lease of so many seconds, `most` jobs at once.

    Every claim needs an execution of its own: two claims of one execution count as one that was sent twice.
    """

    execution: str
    worker: str
    lease_seconds: float
    most: int = 1


@dataclass(frozen=True)
class CacheEntry:
    """What a finished job leaves to the cache: the key without a prefix, the value as JSON, and how long it counts."""

    key: str
    value: str
    ttl_seconds: int


@dataclass(frozen=True)
class Outcome:
    """How a job ends: the state, the fields of its record that say more, and what it leaves to the result cache."""

    state: JobState
    fields: Mapping[str, str]
    entry: CacheEntry | None = None

    @classmethod
    def succeeded(
        cls, result: Mapping[str, Any], model: Mapping[str, str], entry: CacheEntry | None = None
    ) -> "Outcome":
        """The job has labels, from this model."""
        return cls(JobState.SUCCEEDED, {"result": json.dumps(result), "model": json.dumps(model)}, entry)

    @classmethod
    def failed(cls, problem: Mapping[str, Any]) -> "Outcome":
        """The job has a problem: `status`, `title`, `detail`."""
        return cls(JobState.FAILED, {"problem": json.dumps(problem)})


@dataclass(frozen=True)
class ClaimedJob:
    """A job that an execution holds, and the picture that its record carries, if it carries one."""

    job: Job
    picture: bytes
    execution: str


@dataclass(frozen=True)
class EndNotice:
    """What is published when a job ends: its id and its record."""

    job_id: str
    record: str

    @classmethod
    def parse(cls, message: str) -> "EndNotice":
        """Read the id of a notice; the record is left for those who want it.

        Every API process hears of every end and waits for few: hence no JSON is parsed here.
        """
        job_id, _, record = message[2:].partition('",')
        return cls(job_id, record[:-1])

    def job(self) -> Job:
        """Return the job as it ended."""
        flat = json.loads(self.record)
        return Job.from_hash(self.job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _load(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None

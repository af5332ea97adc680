"""The bodies of answers about the service itself, as types: its health and its status."""

from typing import Annotated, NotRequired

from pydantic import Field

# pydantic wants this one before Python 3.12.
from typing_extensions import TypedDict

from api.contract.schemas import JobId, Moment
from shared.jobs.models import JobState


class Live(TypedDict):
    """The process answers."""

    status: Annotated[str, Field(pattern="^live$")]
    version: Annotated[str, Field(description="The version of topthree.")]


class ReadyWorker(TypedDict):
    """A worker that takes jobs."""

    name: str
    engine: str
    model: str
    digest: Annotated[str, Field(description="SHA-256 of the model's files.")]
    answers: Annotated[str, Field(description="Workers with the same value give identical results.")]
    children: Annotated[int, Field(ge=0, description="Pictures that it processes at a time.")]
    labels: Annotated[int, Field(ge=0, description="Labels that the model knows; 0 if unknown.")]


class JobCounts(TypedDict):
    """How many jobs there are."""

    open: Annotated[int, Field(ge=0, description="Jobs that have not ended, including running ones.")]
    running: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0, description="Jobs that failed recently.")]


class Ready(TypedDict):
    """Pictures can be accepted; without workers they wait."""

    status: Annotated[str, Field(pattern="^ready$")]
    workers: list[ReadyWorker]
    jobs: JobCounts


class StatusCounts(TypedDict):
    """How many jobs there are, and the age of the oldest one that has not ended."""

    queued: Annotated[int, Field(ge=0, description="Jobs that wait for a worker.")]
    running: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0, description="Jobs that failed within `RESULT_TTL_SECONDS`.")]
    oldest_seconds: Annotated[float, Field(ge=0, description="0 if no job is open.")]


PerMinute = list[Annotated[int, Field(ge=0)]]


class EndedPerMinute(TypedDict):
    """How many jobs ended in each of the last 180 minutes, by how they ended; the oldest minute comes first."""

    last_minute: Annotated[
        str, Field(json_schema_extra={"format": "date-time"}, description="Start of the last minute: the current one.")
    ]
    succeeded: PerMinute
    failed: PerMinute
    canceled: PerMinute
    expired: PerMinute


class StatusWorker(ReadyWorker):
    """A worker that takes jobs, and how many it runs."""

    running: NotRequired[
        Annotated[int, Field(ge=0, description="Jobs that it runs now; missing if more than 1,000 jobs are running.")]
    ]


class StatusBatches(TypedDict):
    """Batches that have not ended."""

    open: Annotated[int, Field(ge=0)]


class StatusWebhooks(TypedDict):
    """Webhooks that have been neither delivered nor given up, and how long the oldest due one has been due."""

    open: Annotated[int, Field(ge=0)]
    overdue_seconds: Annotated[float, Field(ge=0)]
    given_up: Annotated[int, Field(ge=0, description="Webhooks that were ever given up.")]


class Failure(TypedDict):
    """A failed job. `id`, `detail`, `retryable`, `poison` and `owner` are for operators only."""

    finished: Moment
    status: Annotated[int, Field(ge=400, le=599, description="422: because of its picture; 500: of the service.")]
    title: str
    attempts: Annotated[int, Field(ge=0)]
    worker: NotRequired[Annotated[str, Field(description="The worker that ran it last.")]]
    id: NotRequired[JobId]
    detail: NotRequired[str]
    retryable: NotRequired[Annotated[bool, Field(description="Whether its picture is kept for a retry.")]]
    poison: NotRequired[Annotated[bool, Field(description="Whether its process died at every attempt.")]]
    owner: NotRequired[Annotated[str, Field(description="The name of the API key that it was uploaded with.")]]


class OldestJob(TypedDict):
    """The oldest job that has not ended."""

    id: JobId
    status: JobState


class ServiceStatus(TypedDict):
    """The state of the service. Who may see what: docs/operations.md."""

    time: Moment
    refusal: NotRequired[Annotated[str, Field(description="Why no pictures are accepted now.")]]
    jobs: StatusCounts
    ended: EndedPerMinute
    workers: list[StatusWorker]
    batches: StatusBatches
    webhooks: StatusWebhooks
    may_act: Annotated[bool, Field(description="Whether this client may retry and cancel the jobs of others.")]
    failures: NotRequired[Annotated[list[Failure], Field(description="The newest failed jobs, newest first.")]]
    oldest: NotRequired[OldestJob]

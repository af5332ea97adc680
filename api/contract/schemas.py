"""The bodies of all answers, as types: mypy checks the code against them, and the contract is generated from them."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field

# pydantic wants this one before Python 3.12.
from typing_extensions import TypedDict

from shared.jobs.models import JobState

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="The id of a job; it cannot be guessed.")]


RetryOf = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="The id of the failed job that this one retries.")]


class Prediction(TypedDict):
    """A label and how sure the model is of it."""

    confidence_level: Annotated[float, Field(ge=0, le=1, description="At most five decimals.")]
    predicted_label: str


class Labels(TypedDict):
    """The most likely labels, the first one first: as many as `top` says, fewer or none with `min_confidence`."""

    prediction_1: NotRequired[Prediction]
    prediction_2: NotRequired[Prediction]
    prediction_3: NotRequired[Prediction]
    prediction_4: NotRequired[Prediction]
    prediction_5: NotRequired[Prediction]
    prediction_6: NotRequired[Prediction]
    prediction_7: NotRequired[Prediction]
    prediction_8: NotRequired[Prediction]
    prediction_9: NotRequired[Prediction]
    prediction_10: NotRequired[Prediction]


class OpenJob(TypedDict):
    """The state of an accepted job, for a client that does not wait for its end."""

    id: JobId
    status: JobState
    position: NotRequired[Annotated[int, Field(ge=1, description="Place of a queued job; 1 is the next to start.")]]
    detail: NotRequired[Annotated[str, Field(description="Why the job is waiting longer than usual, if known.")]]
    retry_of: NotRequired[RetryOf]


class JobProblem(TypedDict):
    """Why a job has no labels, in the terms of RFC 9457."""

    type: str
    status: Annotated[int, Field(ge=400, le=599, description="The status that `POST /upload` answers with.")]
    title: str
    detail: str


class Model(TypedDict):
    """The model that produced the labels."""

    name: str
    digest: Annotated[str, Field(description="SHA-256 of the model's files.")]


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Times(TypedDict):
    """When the job was accepted, started and finished."""

    accepted: Moment
    begun: NotRequired[Moment]
    finished: NotRequired[Moment]


class JobRecord(TypedDict):
    """Everything about a job that has ended: its `result`, or the `problem` it ended with."""

    id: JobId
    status: JobState
    result: NotRequired[Labels]
    problem: NotRequired[JobProblem]
    model: NotRequired[Model]
    worker: NotRequired[str]
    retry_of: NotRequired[RetryOf]
    attempts: Annotated[int, Field(ge=0, description="How often the job was started; 0 if its result was cached.")]
    times: Times


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="What went wrong, in a sentence.")]
    error: Annotated[str, Field(description="The same as `detail`, for clients of the first version.")]


class BatchCounts(TypedDict):
    """How many pictures the batch has, how many of them have not ended, and how the others have."""

    added: Annotated[int, Field(ge=0)]
    open: Annotated[int, Field(ge=0)]
    succeeded: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    canceled: Annotated[int, Field(ge=0)]
    expired: Annotated[int, Field(ge=0)]


class BatchTimes(TypedDict):
    """When the batch was opened, closed to further pictures, and when it ended."""

    opened: Moment
    closed: NotRequired[Moment]
    finished: NotRequired[Moment]


class BatchRecord(TypedDict):
    """The state of a batch: `completed` once it is closed and all its pictures have ended."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="The id of a batch; it cannot be guessed.")]
    status: Literal["open", "closed", "completed", "canceled"]
    counts: BatchCounts
    times: BatchTimes


class AddedPicture(TypedDict):
    """A picture of a request: the id of its job, or the problem why it was not accepted."""

    name: Annotated[str, Field(description="The name of the file; empty if the form has none.")]
    id: NotRequired[JobId]
    problem: NotRequired[Problem]


class AddedPictures(TypedDict):
    """The pictures of a request, in its order."""

    images: list[AddedPicture]


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


BODIES = (Labels, OpenJob, JobRecord, BatchRecord, AddedPictures, Problem, Live, Ready, ServiceStatus)

"""The bodies of answers about jobs, as types: mypy checks the code against them, and the contract has them."""

from typing import Annotated, NotRequired

from pydantic import Field

# pydantic wants this one before Python 3.12.
from typing_extensions import TypedDict

from shared.jobs.models import JobState

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="The id of a job; it cannot be guessed.")]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
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

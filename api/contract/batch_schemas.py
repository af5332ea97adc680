"""The bodies of answers about batches, as types."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field

# pydantic wants this one before Python 3.12.
from typing_extensions import TypedDict

from api.contract.schemas import JobId, Moment, Problem


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

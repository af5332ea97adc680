"""The service's responses about batches as objects."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from topthree_client.answers import Result
from topthree_client.errors import PictureFailed


@dataclass(frozen=True)
class BatchCounts:
    """How many pictures were added to a batch, and how many of them are in each state."""

    added: int
    open: int
    succeeded: int
    failed: int
    canceled: int
    expired: int

    @property
    def ended(self) -> int:
        """The number of pictures that will not change any more."""
        return self.added - self.open


@dataclass(frozen=True)
class BatchTimes:
    """When a batch was opened, closed and finished; None for what has not happened."""

    opened: datetime
    closed: datetime | None = None
    finished: datetime | None = None

    def to_dict(self) -> dict[str, str]:
        """Return the known times in ISO 8601."""
        return {name: moment.isoformat() for name in self.__match_args__ if (moment := getattr(self, name))}


@dataclass(frozen=True)
class BatchState:
    """A batch as it is now; `state` is open, closed, completed or canceled."""

    id: str
    state: str
    counts: BatchCounts
    times: BatchTimes

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "BatchState":
        """Parse the response of `GET /batches/{batch_id}`; KeyError, TypeError or ValueError for anything else."""
        counts = BatchCounts(*(int(record["counts"][name]) for name in BatchCounts.__match_args__))
        times = BatchTimes(**{name: datetime.fromisoformat(text) for name, text in record["times"].items()})
        return cls(record["id"], record["status"], counts, times)

    @property
    def has_ended(self) -> bool:
        """Whether the batch will not change any more."""
        return self.state not in ("open", "closed")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, as values that JSON has."""
        return {"id": self.id, "state": self.state, "counts": asdict(self.counts), "times": self.times.to_dict()}


@dataclass(frozen=True)
class Added:
    """What became of a picture that was sent to a batch: the id of its job, or the reason why it has none."""

    name: str
    job_id: str | None = None
    error: PictureFailed | OSError | None = None


@dataclass(frozen=True)
class BatchResult:
    """A picture of a batch that has ended; `number` is its place in the batch, from 1.

    `state` is succeeded, failed, canceled or expired. Only a picture that succeeded has a `result`; `detail` says why
    another one has none.
    """

    number: int
    name: str
    job_id: str
    state: str
    result: Result | None = None
    detail: str | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "BatchResult":
        """Parse a line of the results; KeyError, TypeError or ValueError for anything else."""
        result = Result.from_record(record) if "result" in record else None
        detail = None if result else str(record["problem"]["detail"])
        return cls(int(record["number"]), record["name"], record["id"], record["status"], result, detail)

    @property
    def label(self) -> str | None:
        """The most likely label; None without a result, or if no label has the least confidence that was wanted."""
        return self.result.label if self.result else None

    @property
    def confidence(self) -> float | None:
        """The confidence of the most likely label, from 0 to 1; None without a label."""
        return self.result.confidence if self.result else None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as values that JSON has."""
        given = {"number": self.number, "name": self.name, "id": self.job_id, "state": self.state}
        return given | (self.result.to_dict() if self.result else {"detail": self.detail})

"""The service's responses as objects."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Label:
    """One label of a picture, with a confidence from 0 to 1."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Times:
    """When a job was accepted, started and finished; None for what has not happened."""

    accepted: datetime
    begun: datetime | None = None
    finished: datetime | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Times | None":
        """Parse the times of a job's record; None if it has none, ValueError if they are not times."""
        given = {name: datetime.fromisoformat(text) for name, text in record.get("times", {}).items()}
        if "accepted" not in given:
            return None
        return cls(given["accepted"], given.get("begun"), given.get("finished"))

    def to_dict(self) -> dict[str, str]:
        """Return the known times in ISO 8601."""
        return {name: moment.isoformat() for name in self.__match_args__ if (moment := getattr(self, name))}


@dataclass(frozen=True)
class Result:
    """The labels of a picture, most likely first, and the name and digest of the model that predicted them."""

    labels: tuple[Label, ...]
    model: str
    digest: str
    # Known if the result comes from the service, and not from a file.
    job_id: str | None = None
    times: Times | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Result":
        """Parse the record of a succeeded job; KeyError for anything else."""
        given = record["result"]
        predictions = [given[f"prediction_{place}"] for place in range(1, len(given) + 1)]
        labels = tuple(Label(each["predicted_label"], each["confidence_level"]) for each in predictions)
        model = record["model"]
        return cls(labels, model["name"], model["digest"], record.get("id"), Times.from_record(record))

    @property
    def label(self) -> str | None:
        """The most likely label; None if no label has the least confidence that was wanted."""
        return self.labels[0].name if self.labels else None

    @property
    def confidence(self) -> float | None:
        """The confidence of the most likely label, from 0 to 1; None without a label."""
        return self.labels[0].confidence if self.labels else None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as values that JSON has."""
        labels = [{"label": label.name, "confidence": label.confidence} for label in self.labels]
        given: dict[str, Any] = {"labels": labels, "model": {"name": self.model, "digest": self.digest}}
        if self.job_id:
            given["id"] = self.job_id
        if self.times:
            given["times"] = self.times.to_dict()
        return given


@dataclass(frozen=True)
class Job:
    """A job as it is now.

    `state` is queued, running, succeeded, failed, canceled or expired. Only a queued job may have a `position` (1 is
    the next to start), only a succeeded one has a `result`. `detail` says why a job waits or has no labels.
    """

    id: str
    state: str
    position: int | None = None
    result: Result | None = None
    detail: str | None = None
    times: Times | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Job":
        """Parse the response of `GET /result/{job_id}`; KeyError, TypeError or ValueError for anything else."""
        result = Result.from_record(record) if "result" in record else None
        detail = record["problem"]["detail"] if "problem" in record else record.get("detail")
        times = Times.from_record(record)
        return cls(record["id"], record["status"], record.get("position"), result, detail, times)

    @property
    def has_ended(self) -> bool:
        """Whether the job will not change any more."""
        return self.state not in ("queued", "running")

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as values that JSON has."""
        given: dict[str, Any] = {"id": self.id, "state": self.state, "position": self.position, "detail": self.detail}
        given["times"] = self.times.to_dict() if self.times else None
        result = self.result.to_dict() if self.result else {}
        return {name: value for name, value in (given | result).items() if value is not None}


@dataclass(frozen=True)
class Worker:
    """A ready worker, its model and its number of child processes."""

    name: str
    engine: str
    model: str
    digest: str
    children: int


@dataclass(frozen=True)
class JobCounts:
    """The number of open jobs, of running jobs among them, and of failed jobs whose records are still stored."""

    open: int
    running: int
    failed: int


@dataclass(frozen=True)
class Status:
    """The ready workers and the job counts."""

    workers: tuple[Worker, ...]
    jobs: JobCounts

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Status":
        """Parse the response of `GET /health/ready`; KeyError for anything else."""
        workers = [Worker(**{name: each[name] for name in Worker.__match_args__}) for each in answer["workers"]]
        return cls(tuple(workers), JobCounts(*(answer["jobs"][name] for name in JobCounts.__match_args__)))

    def to_dict(self) -> dict[str, Any]:
        """Return the workers and the counts, as values that JSON has."""
        return {"workers": [asdict(worker) for worker in self.workers], "jobs": asdict(self.jobs)}

"""The service's responses as objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Label:
    """One label of a picture, with a confidence from 0 to 1."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Result:
    """The labels of a picture, most likely first, and the name and digest of the model that predicted them."""

    labels: tuple[Label, ...]
    model: str
    digest: str

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Result":
        """Parse the record of a succeeded job; KeyError for anything else."""
        given = record["result"]
        predictions = [given[f"prediction_{place}"] for place in range(1, len(given) + 1)]
        labels = tuple(Label(each["predicted_label"], each["confidence_level"]) for each in predictions)
        return cls(labels, record["model"]["name"], record["model"]["digest"])


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

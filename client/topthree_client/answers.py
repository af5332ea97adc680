"""What the service answers, as objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Label:
    """One label of a picture, with a confidence of 0 to 1."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Result:
    """The labels of a picture, the most likely first, and the name and the digest of the model that gave them."""

    labels: tuple[Label, ...]
    model: str
    digest: str

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Result":
        """Read the record of a job that has succeeded; KeyError when it is none."""
        given = record["result"]
        predictions = [given[f"prediction_{place}"] for place in range(1, len(given) + 1)]
        labels = tuple(Label(each["predicted_label"], each["confidence_level"]) for each in predictions)
        return cls(labels, record["model"]["name"], record["model"]["digest"])


@dataclass(frozen=True)
class Worker:
    """A worker that is ready, its model and how many child processes it has."""

    name: str
    engine: str
    model: str
    digest: str
    children: int


@dataclass(frozen=True)
class JobCounts:
    """Jobs that have not ended, those of them that run, and those that failed and can still be read."""

    open: int
    running: int
    failed: int


@dataclass(frozen=True)
class Status:
    """Who works, and on how much."""

    workers: tuple[Worker, ...]
    jobs: JobCounts

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Status":
        """Read the answer of `GET /health/ready`; KeyError when it is none."""
        workers = [Worker(**{name: each[name] for name in Worker.__match_args__}) for each in answer["workers"]]
        return cls(tuple(workers), JobCounts(*(answer["jobs"][name] for name in JobCounts.__match_args__)))

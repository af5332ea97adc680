"""Classifies the pictures of a command line, each with a name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from topthree_client.answers import Result
from topthree_client.client import Client
from topthree_client.errors import PictureFailed


@dataclass(frozen=True)
class Wanted:
    """The labels wanted for each picture: at most `top`, none below `min_confidence`."""

    top: int = 3
    min_confidence: float = 0


@dataclass(frozen=True)
class Answer:
    """The outcome for a file: labels or a problem. It is not `final` if the service has not decided about the file."""

    file: str
    result: Result | None = None
    problem: str = ""
    final: bool = True


def classify_all(
    client: Client, files: Sequence[str], contents: Mapping[str, bytes], wanted: Wanted, salt: str, jobs: int
) -> Iterator[Answer]:
    """Yield the outcome for each file, in the order of completion; at most `jobs` are in progress at a time.

    `contents` has the pictures that are no files, by their names among `files`.

    Raises:
        ServiceUnavailable: the service is unavailable.
    """
    pictures = (contents.get(file, file) for file in files)
    for outcome in client.classify_many(
        pictures, wanted.top, min_confidence=wanted.min_confidence, jobs=jobs, salt=salt
    ):
        yield _answer(files[outcome.index], outcome.result, outcome.error)


def _answer(file: str, result: Result | None, error: Exception | None) -> Answer:
    if error is None:
        return Answer(file, result)
    sentence = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Answer(file, problem=sentence, final=isinstance(error, PictureFailed))

"""What became of the files of a command line."""

from dataclasses import dataclass

from topthree_client.answers import Result
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


def failed(file: str, error: Exception) -> Answer:
    """Return the answer for a file that has no labels for this reason."""
    sentence = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Answer(file, problem=sentence, final=isinstance(error, PictureFailed))

"""Classifies many pictures concurrently."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from topthree_client.answers import Result
from topthree_client.errors import JobGone, PictureFailed
from topthree_client.in_threads import in_threads
from topthree_client.pictures import Picture

# These concern one picture; TimeoutError is an OSError.
OF_ONE_PICTURE = (PictureFailed, JobGone, OSError)


@dataclass(frozen=True)
class Outcome:
    """What became of the picture at `index` (from 0): a result or an error."""

    index: int
    picture: Picture
    result: Result | None = None
    error: Exception | None = None


def outcomes(
    classify: Callable[[Picture], Result], pictures: Iterable[Picture], most_at_a_time: int
) -> Iterator[Outcome]:
    """Yield the outcome of each picture, in the order of completion; raise exceptions that concern all pictures."""
    return in_threads(lambda place: _outcome(classify, *place), enumerate(pictures), most_at_a_time)


def _outcome(classify: Callable[[Picture], Result], index: int, picture: Picture) -> Outcome:
    try:
        return Outcome(index, picture, classify(picture))
    except OF_ONE_PICTURE as error:
        return Outcome(index, picture, error=error)

"""Classifies many pictures concurrently."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock, Thread

from topthree_client.answers import Result
from topthree_client.errors import JobGone, PictureFailed
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
    waiting = _Waiting(pictures)
    done: SimpleQueue[Outcome | Exception | None] = SimpleQueue()

    def work() -> None:
        try:
            while (place := waiting.next()) is not None:
                done.put(_outcome(classify, *place))
        except Exception as error:
            done.put(error)
        finally:
            done.put(None)

    # Daemon threads, so that Ctrl-C does not wait for pending responses.
    threads = [Thread(target=work, daemon=True) for _ in range(most_at_a_time)]
    for thread in threads:
        thread.start()
    working = len(threads)
    try:
        while working:
            outcome = done.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                working -= 1
            else:
                yield outcome
    finally:
        waiting.end()


class _Waiting:
    """The pictures that no thread has taken yet."""

    def __init__(self, pictures: Iterable[Picture]) -> None:
        self._places = enumerate(pictures)
        self._lock = Lock()
        self._has_ended = False

    def next(self) -> tuple[int, Picture] | None:
        with self._lock:
            return None if self._has_ended else next(self._places, None)

    def end(self) -> None:
        self._has_ended = True


def _outcome(classify: Callable[[Picture], Result], index: int, picture: Picture) -> Outcome:
    try:
        return Outcome(index, picture, classify(picture))
    except OF_ONE_PICTURE as error:
        return Outcome(index, picture, error=error)

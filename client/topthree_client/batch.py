"""Classifies many files concurrently."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from topthree_client.answers import Result
from topthree_client.client import Client
from topthree_client.errors import JobGone, PictureFailed

# Enough to keep about sixteen worker processes busy; each occupies one of the service's `MAX_WAITERS` slots.
DEFAULT_JOBS = 16


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


def classify_all(client: Client, files: Sequence[str], wanted: Wanted, salt: str, jobs: int) -> Iterator[Answer]:
    """Yield the outcome for each file, in the order of completion; at most `jobs` are in progress at a time.

    Raises:
        ServiceUnavailable: the service is unavailable.
    """
    waiting: SimpleQueue[str] = SimpleQueue()
    answers: SimpleQueue[Answer | Exception] = SimpleQueue()
    for file in files:
        waiting.put(file)

    def work() -> None:
        while True:
            try:
                answers.put(_classify(client, waiting.get_nowait(), wanted, salt))
            except Empty:
                return
            except Exception as error:
                answers.put(error)
                return

    # Daemon threads, so that Ctrl-C does not wait for pending responses.
    for _ in range(min(jobs, len(files))):
        Thread(target=work, daemon=True).start()
    try:
        for _ in files:
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer
    finally:
        _empty(waiting)


def _classify(client: Client, file: str, wanted: Wanted, salt: str) -> Answer:
    try:
        # Opening a named pipe would block until another process writes to it.
        if not os.path.isfile(file):  # noqa: PTH113 - Path("") is the current folder
            return Answer(file, problem="This file does not exist or is not a regular file.", final=False)
        return Answer(file, client.classify(file, wanted.top, min_confidence=wanted.min_confidence, salt=salt))
    except PictureFailed as error:
        return Answer(file, problem=str(error))
    except JobGone as error:
        return Answer(file, problem=str(error), final=False)
    except OSError as error:
        return Answer(file, problem=error.strerror or str(error), final=False)


def _empty(queue: SimpleQueue[str]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return

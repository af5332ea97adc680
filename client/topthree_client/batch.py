"""Classifies many files, so many at a time."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from topthree_client.answers import Result
from topthree_client.client import Client
from topthree_client.errors import JobGone, PictureFailed

# More keep no more than some sixteen worker processes busy; each takes one of the places to wait that the service has.
AT_A_TIME = 16


@dataclass(frozen=True)
class Answer:
    """What became of a file: labels, or a problem. Without an answer of the service it is not `final`."""

    file: str
    result: Result | None = None
    problem: str = ""
    final: bool = True


def classify_all(client: Client, files: Sequence[str], top: int, salt: str) -> Iterator[Answer]:
    """Yield what became of each file, in the order in which that is known.

    Raises:
        ServiceUnavailable: the service cannot be used (any longer).
    """
    waiting: SimpleQueue[str] = SimpleQueue()
    answers: SimpleQueue[Answer | Exception] = SimpleQueue()
    for file in files:
        waiting.put(file)

    def work() -> None:
        while True:
            try:
                answers.put(_classify(client, waiting.get_nowait(), top, salt))
            except Empty:
                return
            except Exception as error:
                answers.put(error)
                return

    # Daemons: who presses Ctrl-C does not want to wait for answers that are on their way.
    for _ in range(min(AT_A_TIME, len(files))):
        Thread(target=work, daemon=True).start()
    try:
        for _ in files:
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer
    finally:
        _empty(waiting)


def _classify(client: Client, file: str, top: int, salt: str) -> Answer:
    try:
        # Opening a pipe would wait for somebody to write into it.
        if not os.path.isfile(file):  # noqa: PTH113 - as it stands, "" included
            return Answer(file, problem="There is no such file (any longer).", final=False)
        return Answer(file, client.classify(file, top, salt=salt))
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

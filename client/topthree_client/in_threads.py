"""Calls a function with many items concurrently."""

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Returned(Generic[R]):
    def __init__(self, value: R) -> None:
        self.value = value


def in_threads(call: Callable[[T], R], items: Iterable[T], most_at_a_time: int) -> Iterator[R]:
    """Yield what `call` returns for each item, in the order of completion; raise the first exception.

    Items are taken as they are needed, by one thread at a time. No more are taken when the iterator is closed.
    """
    waiting = _Waiting(items)
    done: SimpleQueue[_Returned[R] | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            while (item := waiting.next()) is not None:
                done.put(_Returned(call(*item)))
        except BaseException as error:
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
            returned = done.get()
            if isinstance(returned, BaseException):
                raise returned
            if returned is None:
                working -= 1
            else:
                yield returned.value
    finally:
        waiting.end()


class _Waiting(Generic[T]):
    """The items that no thread has taken yet."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = Lock()
        self._has_ended = False

    def next(self) -> tuple[T] | None:
        with self._lock:
            if self._has_ended:
                return None
            for item in self._items:
                return (item,)
            return None

    def end(self) -> None:
        self._has_ended = True

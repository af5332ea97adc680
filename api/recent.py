"""A value that many requests use and few read."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Reads a value again when it is too old. Only one caller reads; until then, the others get the previous value."""

    def __init__(self, read: Callable[[], T], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Call `read` at most every `seconds` of `clock`, but again at once after it has raised an error."""
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._values: list[T] = []
        self._read_at = 0.0

    def get(self) -> T:
        """Return the value; raises what reading it raises."""
        now, values = self._clock(), self._values
        if not values or now > self._read_at + self._seconds:
            self._read_at = now
            try:
                values = self._values = [self._read()]
            except BaseException:
                self._values = []
                raise
        return values[0]

"""A timeout that does not advance while the process or machine is suspended."""

import threading
import time
from collections.abc import Callable

# At most this much time is counted between two calls of left().
STEP_SECONDS = 1.0


class AwakeTimer:
    """Counts down between calls of `left`: SIGSTOP, sleep of the machine or a clock change cost at most one step.

    Callers must call `left` at least once every `step_seconds`.
    """

    def __init__(
        self, seconds: float, step_seconds: float = STEP_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds since any point in time."""
        self._left = seconds
        self._step_seconds = step_seconds
        self._clock = clock
        self._looked = clock()
        self._lock = threading.Lock()

    def left(self) -> float:
        """Return the seconds left, 0 once the timeout has passed."""
        with self._lock:
            now = self._clock()
            self._left = max(0.0, self._left - min(max(0.0, now - self._looked), self._step_seconds))
            self._looked = now
            return self._left

"""A time limit that a pause of the whole process, or of the machine, does not use up."""

import threading
import time
from collections.abc import Callable

# So much of the time between two looks counts, at most.
STEP_SECONDS = 1.0


class AwakeTimer:
    """Counts down while it is looked at: SIGSTOP, a laptop's sleep or a turned clock cost at most one step.

    Whoever waits must look at least once every `step_seconds`.
    """

    def __init__(
        self, seconds: float, step_seconds: float = STEP_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds of any origin."""
        self._left = seconds
        self._step_seconds = step_seconds
        self._clock = clock
        self._looked = clock()
        self._lock = threading.Lock()

    def left(self) -> float:
        """Return the seconds left, 0 when the time is over."""
        with self._lock:
            now = self._clock()
            self._left = max(0.0, self._left - min(max(0.0, now - self._looked), self._step_seconds))
            self._looked = now
            return self._left

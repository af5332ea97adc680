"""Redis' clock as this process knows it between two answers."""

import time
from collections.abc import Callable


class RedisTime:
    """Estimates Redis' clock from the last answer that told it, by this machine's monotonic clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` returns seconds."""
        self._monotonic = monotonic
        self._offset_ms: float | None = None

    def heard(self, now_ms: int) -> None:
        """Note what Redis' clock, in milliseconds since the epoch, has just been."""
        self._offset_ms = now_ms - self._monotonic() * 1000

    def in_seconds(self, seconds: float) -> int:
        """Return what the clock will be after so many seconds, in milliseconds; 0 while it was never heard."""
        return 0 if self._offset_ms is None else int(self._offset_ms + (self._monotonic() + seconds) * 1000)

"""The two clocks in use: Redis' clock for records and leases, and this machine's monotonic clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """Source of the time for scripts and for waiting code; tests replace it."""

    # Lua that defines now_ms(), milliseconds since the epoch; all scripts get the time from it.
    script: str = """\
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
    # Seconds that never decrease.
    monotonic: Callable[[], float] = field(default=time.monotonic)


SYSTEM_CLOCK = Clock()


class RedisTime:
    """Estimates Redis' clock from the last time it reported and this machine's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._offset_ms: float | None = None

    def heard(self, now_ms: int) -> None:
        """Record the time that Redis has just reported, in milliseconds since the epoch."""
        self._offset_ms = now_ms - self._monotonic() * 1000

    def in_seconds(self, seconds: float) -> int:
        """Return Redis' time `seconds` from now, in milliseconds since the epoch; 0 if none has been reported yet."""
        return 0 if self._offset_ms is None else int(self._offset_ms + (self._monotonic() + seconds) * 1000)

"""The two clocks there are: Redis', by which records and leases are kept, and this machine's monotonic one."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """From where scripts and waiting code take the time; tests turn it."""

    # Lua that defines now_ms(), in milliseconds since the epoch: the one place from which scripts take the time.
    script: str = """\
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
    # Seconds that never go back.
    monotonic: Callable[[], float] = field(default=time.monotonic)


SYSTEM_CLOCK = Clock()


class RedisTime:
    """Estimates Redis' clock from the last answer that told it, by this machine's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._offset_ms: float | None = None

    def heard(self, now_ms: int) -> None:
        """Note what Redis' clock, in milliseconds since the epoch, has just been."""
        self._offset_ms = now_ms - self._monotonic() * 1000

    def in_seconds(self, seconds: float) -> int:
        """Return what the clock will be after so many seconds, in milliseconds; 0 while it was never heard."""
        return 0 if self._offset_ms is None else int(self._offset_ms + (self._monotonic() + seconds) * 1000)

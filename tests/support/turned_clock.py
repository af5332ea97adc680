"""Both clocks as a test turns them: Redis' clock, as scripts see it, and this machine's monotonic one."""

from typing import Any

from shared.clock import Clock

KEY = "turned:clock"
SCRIPT = f"local function now_ms() return tonumber(redis.call('GET', '{KEY}')) end\n"


class TurnedClock:
    """Time that passes only when the test says so."""

    def __init__(self, client: Any, now_ms: int = 1_790_000_000_000) -> None:
        """`client` is one of the server whose scripts take the time from here."""
        self._client = client
        self.now_ms = now_ms
        self._monotonic = 1000.0
        self.clock = Clock(SCRIPT, lambda: self._monotonic)
        self.set(0)

    def set(self, seconds: float) -> None:
        """Set Redis' clock ahead, or back by a negative number; no time passes."""
        self.now_ms += int(seconds * 1000)
        self._client.set(KEY, self.now_ms)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += seconds
        self.set(seconds)

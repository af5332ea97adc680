"""Turns: in a burst only a few requests begin at a time, so that health checks and polls get through in between."""

import time
from collections import deque

import gevent
from gevent.event import Event

from api.server.pace import yield_to_others

# Each needs 2 ms of CPU time until it waits for its result (docs/decisions/0018-web-server-for-thousands.md).
AT_ONCE = 8
# So many may begin within this time without a turn. More would be a burst.
BURST_SECONDS = 0.005


class Turns:
    """Green threads that begin in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE, burst_seconds: float = BURST_SECONDS) -> None:
        """In a burst, let `at_once` green threads go on before gevent looks for new data on all connections."""
        self._at_once = at_once
        self._burst_seconds = burst_seconds
        self._counts_until = 0.0
        self._counted = 0
        self._waiting: deque[Event] = deque()

    def take(self) -> None:
        """Wait for the caller's turn."""
        if not self._waiting and not self._is_burst():
            return
        if not self._waiting:
            gevent.spawn(self._let_go_on)
        turn = Event()
        self._waiting.append(turn)
        turn.wait()

    def _is_burst(self) -> bool:
        now = time.monotonic()
        if now > self._counts_until:
            self._counts_until, self._counted = now + self._burst_seconds, 0
        self._counted += 1
        return self._counted > self._at_once

    def _let_go_on(self) -> None:
        while self._waiting:
            yield_to_others()
            for _ in range(min(self._at_once, len(self._waiting))):
                self._waiting.popleft().set()

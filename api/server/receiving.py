"""The memory of all request bodies that are being received: bounded in total."""

import logging
from typing import Protocol

log = logging.getLogger(__name__)


class Body(Protocol):
    """A request body that can be given up while it is received."""

    def give_up(self) -> None:
        """Receive no more of it."""


class Receiving:
    """Counts the bytes of unfinished bodies; when they are too many, the oldest bodies are given up."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # In the order in which they began.
        self._bodies: dict[Body, int] = {}

    def begin(self, body: Body) -> None:
        """Count what is received of `body` from now on."""
        self._bodies[body] = 0

    def add(self, body: Body, count: int) -> None:
        """Count `count` more bytes of `body`, and give up the oldest bodies if there is no room for them."""
        if body not in self._bodies:
            return
        self._bodies[body] += count
        self._bytes += count
        while self._bytes > self._most_bytes:
            oldest = next(body for body, size in self._bodies.items() if size)
            log.warning("Too many request bodies are being received: the oldest is dropped.")
            self.end(oldest)
            oldest.give_up()

    def end(self, body: Body) -> None:
        """Forget `body`."""
        self._bytes -= self._bodies.pop(body, 0)

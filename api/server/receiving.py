"""Limits the memory of all request bodies that the application has not handled yet."""

import logging
from typing import Protocol

log = logging.getLogger(__name__)


class Body(Protocol):
    """A request body whose upload can be aborted."""

    @property
    def complete(self) -> bool:
        """Whether all of it has been received."""

    def abort(self) -> None:
        """Stop receiving it."""


class Receiving:
    """Counts the bytes of bodies until they are closed, and aborts the oldest unfinished ones above the limit."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # Oldest first.
        self._bodies: dict[Body, int] = {}

    def begin(self, body: Body) -> None:
        """Start counting `body`."""
        self._bodies[body] = 0

    def add(self, body: Body, count: int) -> None:
        """Count `count` more bytes of `body`, which is unfinished, and abort unfinished bodies if they are too many."""
        if body not in self._bodies:
            return
        self._bodies[body] += count
        self._bytes += count
        while self._bytes > self._most_bytes:
            # Bodies that are complete wait for a store: aborting them would free nothing.
            oldest = next(each for each, size in self._bodies.items() if size and not each.complete)
            log.warning("The limit for request bodies in memory is reached; aborting the oldest upload.")
            self.end(oldest)
            oldest.abort()

    def end(self, body: Body) -> None:
        """Stop counting `body`."""
        self._bytes -= self._bodies.pop(body, 0)

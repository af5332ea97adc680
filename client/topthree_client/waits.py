"""Reports to the user what the client is waiting for."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from topthree_client.patience import LOG

# Concurrent requests wait for the same reason: report at most one in this time.
QUIET_SECONDS = 30.0


@contextmanager
def waits_told(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with a message during long waits of the client."""
    handler = _Handler(tell)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            self._tell(record.getMessage())

"""Reports to the user what the client is waiting for."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from topthree_client.patience import LOG

# Concurrent requests wait for the same reason: report at most one in this time.
QUIET_SECONDS = 30.0
# httpx logs each request at level INFO.
REQUESTS = logging.getLogger("httpx")


@contextmanager
def waits_told(tell: Callable[[str], None], *, verbose: bool = False) -> Iterator[None]:
    """Call `tell` with a message during long waits of the client; `verbose`: for each request and each retry."""
    handler = _Handler(tell, 0 if verbose else QUIET_SECONDS)
    levels = {LOG: logging.DEBUG, REQUESTS: logging.INFO} if verbose else {LOG: logging.INFO}
    before = {log: log.level for log in levels}
    for log, level in levels.items():
        log.addHandler(handler)
        log.setLevel(level)
    try:
        yield
    finally:
        for log, level in before.items():
            log.removeHandler(handler)
            log.setLevel(level)


class _Handler(logging.Handler):
    def __init__(self, tell: Callable[[str], None], quiet_seconds: float) -> None:
        super().__init__()
        self._tell = tell
        self._quiet_seconds = quiet_seconds
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + self._quiet_seconds
            self._tell(record.getMessage())

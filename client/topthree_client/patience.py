"""Retries with exponential backoff and a time limit."""

import logging
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from topthree_client.errors import ServiceUnavailable

FIRST_DELAY_SECONDS = 0.1
MOST_DELAY_SECONDS = 10.0
# Pauses from this length on are logged.
LOGGED_SECONDS = 5.0
LOG = logging.getLogger("topthree_client")


class Patience:
    """The backoff of one request: increasing pauses, up to a total time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._delay_seconds = FIRST_DELAY_SECONDS

    def pause(self, reason: str, retry_after_seconds: float = 0) -> None:
        """Sleep until the next attempt, at least for `retry_after_seconds`.

        Raises:
            ServiceUnavailable: the pause would exceed the time limit; `reason` is the message.
        """
        # Jitter: clients that were refused together must not retry together.
        wanted = max(retry_after_seconds, self._delay_seconds * random.uniform(0.5, 1))  # noqa: S311 - no secret
        if time.monotonic() + wanted > self._until:
            raise ServiceUnavailable(reason)
        if wanted >= LOGGED_SECONDS:
            LOG.info("%s; trying again in %.0f s", reason.rstrip("."), wanted)
        time.sleep(wanted)
        self._delay_seconds = min(MOST_DELAY_SECONDS, 2 * self._delay_seconds)


def read_retry_after(header: str) -> float:
    """Return the seconds of a `Retry-After` header, which is a number or a date; 0 if it is missing or invalid."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0
    # "-0000" means UTC with an unknown local zone; it is parsed without a zone.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())

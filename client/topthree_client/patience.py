"""Retries with exponential backoff and a time limit."""

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from topthree_client.errors import ServiceUnavailable

FIRST_DELAY_SECONDS = 0.1
MOST_DELAY_SECONDS = 10.0
# A random delay of up to half of `Retry-After` is added to it, so that clients do not all retry at once. Its maximum is
# within these limits.
LEAST_SPREAD_SECONDS = 1.0
MOST_SPREAD_SECONDS = 60.0
# Longer times in `Retry-After` are reduced to this one, so that `time.sleep` does not overflow.
MOST_RETRY_AFTER_SECONDS = 366 * 86400.0
# Pauses from this length on are logged at level INFO, shorter ones at level DEBUG.
LOGGED_SECONDS = 5.0
LOG = logging.getLogger("topthree_client")

T = TypeVar("T")


class Patience:
    """The backoff of one request: increasing pauses, and a limit on the total time of all pauses and retries.

    The first attempt does not count towards the limit: on a slow connection it may take long before it fails.
    """

    def __init__(self, seconds: float) -> None:
        self._left_seconds = seconds
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._is_repeated = False

    def attempt(self, send: Callable[[], T]) -> T:
        """Return the result of `send`, and count its duration towards the limit unless this is the first attempt."""
        started = time.monotonic()
        try:
            return send()
        finally:
            if self._is_repeated:
                self._left_seconds -= time.monotonic() - started
            self._is_repeated = True

    def pause(self, reason: str, retry_after_seconds: float = 0) -> None:
        """Sleep until the next attempt, at least for `retry_after_seconds`.

        Raises:
            ServiceUnavailable: the pause would exceed the time limit; `reason` is the message.
        """
        if retry_after_seconds > self._left_seconds:
            raise ServiceUnavailable(f"{reason.rstrip('.')}; try again in {retry_after_seconds:.0f} s")
        # Jitter: clients that were refused together must not retry together.
        backoff_seconds = self._delay_seconds * random.uniform(0.5, 1)  # noqa: S311 - no secret
        wanted = max(backoff_seconds, spread(retry_after_seconds, self._left_seconds))
        if wanted > self._left_seconds:
            raise ServiceUnavailable(reason)
        level = logging.INFO if wanted >= LOGGED_SECONDS else logging.DEBUG
        LOG.log(level, "%s; trying again in %.*f s", reason.rstrip("."), 0 if wanted >= 1 else 1, wanted)
        time.sleep(wanted)
        self._left_seconds -= wanted
        self._delay_seconds = min(MOST_DELAY_SECONDS, 2 * self._delay_seconds)


def spread(retry_after_seconds: float, most_seconds: float) -> float:
    """Return `retry_after_seconds` plus a random delay, together at most `most_seconds`; 0 for 0."""
    if not retry_after_seconds:
        return 0
    width = min(max(LEAST_SPREAD_SECONDS, retry_after_seconds / 2), MOST_SPREAD_SECONDS)
    return random.uniform(retry_after_seconds, min(retry_after_seconds + width, most_seconds))  # noqa: S311 - no secret


def read_retry_after(header: str) -> float:
    """Return the seconds of a `Retry-After` header, which is a number or a date; 0 if it is missing or invalid."""
    if header.isascii() and header.isdigit():
        return min(float(header), MOST_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(header)
    except (OverflowError, ValueError):
        return 0
    # "-0000" means UTC with an unknown local zone; it is parsed without a zone.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - datetime.now(UTC)).total_seconds()), MOST_RETRY_AFTER_SECONDS)

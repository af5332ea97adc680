"""When to ask again, and when to give up."""

import logging
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from topthree_client.errors import ServiceUnavailable

FIRST_DELAY_SECONDS = 0.1
MOST_DELAY_SECONDS = 10.0
# A shorter pause is over before anybody wonders.
LOGGED_SECONDS = 5.0
LOG = logging.getLogger("topthree_client")


class Patience:
    """The tries of one request: longer and longer pauses, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._delay_seconds = FIRST_DELAY_SECONDS

    def pause(self, reason: str, retry_after_seconds: float = 0) -> None:
        """Sleep until the next try, at least for as long as the service asks.

        Raises:
            ServiceUnavailable: that would take longer than there is patience; `reason` is its message.
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
    """Return the seconds of a `Retry-After` header, a number or a date; 0 when there is none that can be read."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0
    # "-0000" says that the time is UTC and the zone unknown.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())

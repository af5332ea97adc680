"""When a failed delivery is repeated: after growing pauses, with jitter."""

import random
from dataclasses import dataclass, field

from shared.jobs.deliveries import Delivery

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0
# Each pause is longer or shorter by up to this share, so that deliveries that failed together do not return together.
JITTER = 0.25


@dataclass(frozen=True)
class RetrySchedule:
    """Repeats for `total_seconds`."""

    total_seconds: float
    rng: random.Random = field(default_factory=random.SystemRandom)

    def pause_seconds(self, delivery: Delivery) -> float | None:
        """Return the pause after a failed attempt, None if the delivery is given up."""
        # The age alone would not do: Redis' clock may be set back. Nor would the pauses: with many deliveries to a host
        # that does not answer, each waits much longer.
        left = self.total_seconds - max(delivery.waited_seconds, delivery.age_seconds)
        if left <= 0:
            return None
        # The exponent is bounded, as floats are.
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(delivery.attempts - 1, 60), LONGEST_PAUSE_SECONDS)
        # The last attempt is made when the time is over.
        return min(left, pause * self.rng.uniform(1 - JITTER, 1 + JITTER))

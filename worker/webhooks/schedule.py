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
    """Repeats failed attempts for `total_seconds`."""

    total_seconds: float
    rng: random.Random = field(default_factory=random.SystemRandom)

    def pause_seconds(self, delivery: Delivery) -> float | None:
        """Return the pause after a failed attempt, None if the delivery is given up."""
        # The age alone is not enough: Redis' clock may be set back. The pauses alone are not enough either: if many
        # deliveries wait for a receiver that does not answer, each waits much longer than its pauses.
        left = self.total_seconds - max(delivery.waited_seconds, delivery.age_seconds)
        if left <= 0:
            return None
        # Without a limit, the power would overflow a float.
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(delivery.attempts - 1, 60), LONGEST_PAUSE_SECONDS)
        # The last attempt is made when the time is over.
        return min(left, pause * self.rng.uniform(1 - JITTER, 1 + JITTER))

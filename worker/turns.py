"""Which worker looks after stalled jobs now, and whether Redis' clock was set since somebody last did."""

import logging
import secrets

import redis

from shared.clock import SYSTEM_CLOCK, Clock
from shared.job_keys import CLOCK_KEY, DEADLINES_KEY, JOB_PREFIX, LEASES_KEY
from shared.job_script import JobScript
from shared.queue import Queue

log = logging.getLogger(__name__)

# Smaller steps of a clock (leap seconds, NTP) only shorten or lengthen a lease a little.
MAX_JUMP_MS = 5_000


class Turns:
    """Takes turns with the other workers, and moves leases and deadlines along when Redis' clock is set."""

    def __init__(self, client: redis.Redis, queue: Queue, period_seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        """A turn comes every `period_seconds`."""
        self._redis = client
        self._queue = queue
        # A little shorter than the period, so that the next round of whoever comes first is not refused.
        self._period_ms = int(period_seconds * 900)
        self._monotonic = clock.monotonic
        self._take_turn = JobScript(client, "take_turn", clock)
        self._settle_clock = JobScript(client, "settle_clock", clock)
        self._seen_ms: int | None = None
        self._seen_after = 0.0

    def take(self) -> int | None:
        """Return the time on Redis' clock, in ms, if it is this worker's turn; None if another has had one just now."""
        asked_at = self._monotonic()
        call = self._take_turn.call(
            keys={"clock_key": self._queue.key(CLOCK_KEY)},
            args={"by": secrets.token_hex(8), "period_ms": self._period_ms, "max_gap_ms": MAX_JUMP_MS},
        )
        taken, now_ms, last_ms = (int(part) for part in call.run(self._redis))
        if not 0 <= now_ms - last_ms <= MAX_JUMP_MS:
            self._settle(now_ms, last_ms)
        self._seen_ms, self._seen_after = now_ms, asked_at
        return now_ms if taken else None

    def _settle(self, now_ms: int, last_ms: int) -> None:
        jump_ms = self._jump(now_ms, last_ms)
        if abs(jump_ms) <= MAX_JUMP_MS:
            jump_ms = 0
        else:
            log.warning("Redis' clock was set by %.0f s: leases and deadlines are moved along.", jump_ms / 1000)
        key = self._queue.key
        self._settle_clock.call(
            keys={"clock_key": key(CLOCK_KEY), "leases_key": key(LEASES_KEY), "deadlines_key": key(DEADLINES_KEY)},
            args={"last_ms": last_ms, "look_ms": now_ms, "jump_ms": jump_ms, "job_prefix": key(JOB_PREFIX)},
        ).run(self._redis)

    def _jump(self, now_ms: int, last_ms: int) -> int:
        """Return by how many ms Redis' clock was set since anybody looked last.

        Behind the last look, it was set back. If it went further than this machine's own clock, it was set ahead, or
        the machine slept: as far as nobody has looked meanwhile, since else it is this machine that slept.
        """
        if now_ms < last_ms or self._seen_ms is None:
            return min(0, now_ms - last_ms)
        # From before the last question to after this answer: however late Redis came to it, no less time has passed.
        passed_ms = (self._monotonic() - self._seen_after) * 1000
        return int(max(0, min(now_ms - self._seen_ms - passed_ms, now_ms - last_ms)))

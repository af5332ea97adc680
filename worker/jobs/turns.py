"""Decides which worker runs the next round of the reaper."""

import logging
import secrets

import redis

from shared.clock import SYSTEM_CLOCK, Clock
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import CLOCK_KEY, DEADLINES_KEY, JOB_PREFIX, LEASES_KEY
from shared.jobs.script import JobScript

log = logging.getLogger(__name__)

# Every worker calls once per REAP_SECONDS; after a longer gap without any call, leases are extended.
MAX_GAP_MS = 5_000


class Turns:
    """Takes turns with the other workers; corrects leases after Redis was unreachable or its clock was set."""

    def __init__(self, client: redis.Redis, queue: Queue, period_seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        """There is one turn per `period_seconds`."""
        self._redis = client
        self._queue = queue
        # 90 % of the period, so that the worker of the last turn can also get the next one.
        self._period_ms = int(period_seconds * 900)
        self._script = JobScript(client, "take_turn", clock)

    def take(self) -> int | None:
        """Return Redis' time in ms if it is this worker's turn, None if another worker has just had one."""
        key = self._queue.key
        call = self._script.call(
            keys={"clock_key": key(CLOCK_KEY), "leases_key": key(LEASES_KEY), "deadlines_key": key(DEADLINES_KEY)},
            args={
                "by": secrets.token_hex(8),
                "period_ms": self._period_ms,
                "max_gap_ms": MAX_GAP_MS,
                "job_prefix": key(JOB_PREFIX),
            },
        )
        taken, now_ms, gap_ms = (int(part) for part in call.run(self._redis))
        if gap_ms < 0:
            log.info("Redis' clock was set back by %.0f s; leases and deadlines were moved.", -gap_ms / 1000)
        elif gap_ms:
            log.info("No worker reached Redis for %.0f s, or its clock was set; leases last longer.", gap_ms / 1000)
        return now_ms if taken else None

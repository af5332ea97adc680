"""How many jobs ended in each minute of the last hours; scripts count them (`count_ended.lua`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import redis

from shared.jobs.models import JobState
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import HISTORY_PREFIX

# How many minutes are shown.
MINUTES = 180
MINUTES_OF_AN_HOUR = 60
MINUTE_MS = 60_000
# Counted from the last minute of an hour in which a job ended: longer than the time that is shown.
HISTORY_TTL_SECONDS = (MINUTES + MINUTES_OF_AN_HOUR) * 60
ENDS = tuple(state for state in JobState if state.terminal)


@dataclass(frozen=True)
class EndedJobs:
    """How many jobs ended in each of the last MINUTES minutes, for each terminal state; the oldest minute comes first.

    `last_minute_ms` is the start of the last minute, which has not passed yet, in milliseconds since the epoch.
    """

    last_minute_ms: int
    counts: Mapping[JobState, Sequence[int]]


class JobHistory:
    """Reads the counts."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._queue = queue

    def read(self, now_ms: int) -> EndedJobs:
        """Return the counts of the minutes up to `now_ms` of Redis' clock, in one round trip."""
        last = now_ms // MINUTE_MS
        minutes = range(last - MINUTES + 1, last + 1)
        hours = range(minutes[0] // MINUTES_OF_AN_HOUR, last // MINUTES_OF_AN_HOUR + 1)
        with self._redis.pipeline(transaction=False) as pipe:
            for hour in hours:
                pipe.hgetall(self._queue.key(f"{HISTORY_PREFIX}{hour}"))
            found: dict[str, str] = {}
            for counts in cast(list[dict[str, str]], pipe.execute()):
                found |= counts
        return EndedJobs(
            last_minute_ms=last * MINUTE_MS,
            counts={state: [int(found.get(f"{minute}:{state}", 0)) for minute in minutes] for state in ENDS},
        )

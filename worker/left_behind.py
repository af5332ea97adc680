"""Finds jobs that nobody is at any more: ended leases, passed deadlines, lost messages, lost children."""

from typing import cast

import redis

from shared.job_keys import BEGUN_KEY, DEADLINES_KEY, JOB_PREFIX, LEASES_KEY, OPEN_KEY
from shared.job_script import load_script
from shared.queue import MESSAGE, QUEUE_NAME

# A message may be on its way for so long before its job counts as overtaken.
OVERTAKEN_GRACE_MS = 5_000
MOST = 200


class LeftBehind:
    """Searches the indexes of the job records, MOST jobs at a time."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._overtaken = load_script(client, "overtaken")

    def running(self, worker: str) -> dict[str, str]:
        """Return the executions of the jobs that run on a worker, by the jobs' ids."""
        ids = cast(list[str], self._redis.zrange(LEASES_KEY, 0, -1))
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(JOB_PREFIX + job_id, "worker", "execution")
            found = zip(ids, pipe.execute(), strict=True)
        return {job_id: execution for job_id, (runs_on, execution) in found if runs_on == worker}

    def overdue(self) -> list[str]:
        """Return the ids of running jobs whose lease has ended."""
        return self._before_now(LEASES_KEY)

    def past_deadline(self) -> list[str]:
        """Return the ids of open jobs whose deadline has passed, those that run included."""
        return self._before_now(DEADLINES_KEY)

    def publish_overtaken(self) -> list[str]:
        """Publish queued jobs again whose message was lost; return their ids."""
        return list(
            self._overtaken(
                keys=[OPEN_KEY, LEASES_KEY, BEGUN_KEY, QUEUE_NAME],
                args=[OVERTAKEN_GRACE_MS, MOST, JOB_PREFIX, MESSAGE],
            )
        )

    def _before_now(self, key: str) -> list[str]:
        seconds, microseconds = self._redis.time()
        now_ms = seconds * 1000 + microseconds // 1000
        return cast(list[str], self._redis.zrange(key, "-inf", now_ms, byscore=True, offset=0, num=MOST))

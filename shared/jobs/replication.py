"""Has replicas of Redis confirm what a script wrote, before a client is told of it or a picture is deleted."""

from collections.abc import Sequence
from typing import Any, cast

import redis
from redis.client import Pipeline

from shared.jobs.queue import Queue
from shared.jobs.redis_keys import CONFIRMED_KEY
from shared.jobs.script import ScriptCall, run_calls

# Redis waits so long for its replicas: less than the client waits for the answer.
CONFIRM_MS = 700
# Less for the end of a job: without a confirmation its picture stays for a day, which harms less than a slow worker.
CONFIRM_END_MS = 50
CONFIRMED_TTL_SECONDS = 60


class Replication:
    """Runs scripts whose changes must be on at least `min_replicas` replicas; 0 asks for none and costs nothing.

    The setting `REDIS_MIN_REPLICAS` says how many. Replicas have `confirm_ms` to answer.
    """

    def __init__(self, client: redis.Redis, queue: Queue, min_replicas: int = 0, confirm_ms: int = CONFIRM_MS) -> None:
        self._redis = client
        self._min_replicas = min_replicas
        self._confirm = (
            ("SET", queue.key(CONFIRMED_KEY), 1, "EX", CONFIRMED_TTL_SECONDS),
            ("WAIT", min_replicas, confirm_ms),
        )

    def run(self, call: ScriptCall) -> tuple[Any, bool]:
        """Run the script; return its answer, and whether enough replicas have its changes and all earlier ones."""
        if not self._min_replicas:
            return call.run(self._redis), True
        [answer], replicated = self.run_all([call])
        return answer, replicated

    def run_all(self, calls: Sequence[ScriptCall]) -> tuple[list[Any], bool]:
        """Run the scripts in one round trip; return as `run` does, with the answers in order.

        Redis answers `WAIT` for the last write of the same connection, so this writes a key first: a script that is
        repeated may have changed nothing. If the answer is lost, all commands are sent again, perhaps to another
        server, where the scripts must run too. So they must not be separate calls.
        """
        if not self._min_replicas:
            return run_calls(self._redis, calls), True
        *answers, _, acknowledged = run_calls(self._redis, calls, self._confirm)
        return answers, int(acknowledged) >= self._min_replicas

    def confirm(self) -> bool:
        """Return whether enough replicas have all changes so far; False if none are asked for."""
        if not self._min_replicas:
            return False
        with self._redis.pipeline(transaction=False) as pipe:
            self._ask(pipe)
            _, acknowledged = pipe.execute()
        return int(acknowledged) >= self._min_replicas

    def get(self, key: str, field: str) -> tuple[str | None, bool]:
        """Read a field of a hash; return it, and whether enough replicas have it."""
        if not self._min_replicas:
            return cast(str | None, self._redis.hget(key, field)), True
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(key, field)
            self._ask(pipe)
            found, _, acknowledged = pipe.execute()
        return found, int(acknowledged) >= self._min_replicas

    def _ask(self, pipe: Pipeline) -> None:
        for command in self._confirm:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]

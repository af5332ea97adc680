"""Which workers are ready: each keeps a record in Redis alive for as long as it serves."""

from dataclasses import asdict, dataclass
from typing import Any, cast

import redis
from redis.typing import EncodableT, FieldT

from shared.jobs.queue import Queue

WORKERS_KEY = "workers"
WORKER_PREFIX = "worker:"
HEARTBEAT_SECONDS = 1
# A worker that misses this many seconds of heartbeats is no longer counted.
ALIVE_SECONDS = 6
# The names in Redis and in answers, where they differ.
WIRE_NAMES = {"result_version": "answers"}


@dataclass(frozen=True)
class WorkerRecord:
    """One ready worker, the model it answers with and how many child processes it has."""

    name: str
    engine: str
    model: str
    digest: str
    result_version: str
    """Engine, version of the preprocessing, model digest. Workers with equal tags give identical results."""
    children: int

    def to_dict(self) -> dict[str, Any]:
        """Return the record under the names that Redis and clients know."""
        return {WIRE_NAMES.get(name, name): value for name, value in asdict(self).items()}


class WorkerRegistry:
    """The ready workers; a record whose heartbeat stops expires by itself."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._workers_key = queue.key(WORKERS_KEY)
        self._worker_prefix = queue.key(WORKER_PREFIX)

    def beat(self, record: WorkerRecord) -> None:
        """Say that the worker is ready; to be repeated every HEARTBEAT_SECONDS."""
        key = self._worker_prefix + record.name
        fields = {name: str(value) for name, value in record.to_dict().items() if name != "name"}
        with self._redis.pipeline() as pipe:
            pipe.hset(key, mapping=cast(dict[FieldT, EncodableT], fields))
            pipe.expire(key, ALIVE_SECONDS)
            pipe.sadd(self._workers_key, record.name)
            pipe.execute()

    def leave(self, name: str) -> None:
        """Say that the worker no longer serves."""
        with self._redis.pipeline() as pipe:
            pipe.delete(self._worker_prefix + name)
            pipe.srem(self._workers_key, name)
            pipe.execute()

    def ready(self) -> list[WorkerRecord]:
        """Return the workers that are ready now, by name; forget those whose record has expired.

        A record that lives longer than any heartbeat lets it is from before Redis' clock was set back: that of a live
        worker gets a new end within a second.
        """
        names = sorted(cast(set[str], self._redis.smembers(self._workers_key)))
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._worker_prefix + name)
                pipe.pttl(self._worker_prefix + name)
            answers = pipe.execute()
        found = list(zip(names, answers[::2], answers[1::2], strict=True))
        expired = [name for name, fields, _ in found if not fields]
        if expired:
            self._redis.srem(self._workers_key, *expired)
        return [_read(name, fields) for name, fields, left_ms in found if fields and left_ms <= ALIVE_SECONDS * 1000]


def _read(name: str, fields: dict[str, str]) -> WorkerRecord:
    return WorkerRecord(
        name=name,
        engine=fields["engine"],
        model=fields["model"],
        digest=fields["digest"],
        result_version=fields.get(WIRE_NAMES["result_version"], ""),
        children=int(fields["children"]),
    )

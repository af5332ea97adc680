"""Registry of ready workers: each refreshes a record in Redis while it serves."""

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
# Names in Redis and in API answers, where they differ from the fields.
WIRE_NAMES = {"result_version": "answers"}


@dataclass(frozen=True)
class WorkerRecord:
    """A ready worker, its model and its number of child processes."""

    name: str
    engine: str
    model: str
    digest: str
    result_version: str
    """Engine, preprocessing version, model digest. Workers with equal tags give identical results."""
    children: int
    labels: int = 0
    """Number of labels that the model knows; 0 if unknown, as of workers of earlier versions."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record with the names used in Redis and in API answers."""
        return {WIRE_NAMES.get(name, name): value for name, value in asdict(self).items()}


class WorkerRegistry:
    """The ready workers; a record expires when its heartbeats stop."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client
        self._workers_key = queue.key(WORKERS_KEY)
        self._worker_prefix = queue.key(WORKER_PREFIX)

    def beat(self, record: WorkerRecord) -> None:
        """Register the worker as ready; call this every HEARTBEAT_SECONDS."""
        key = self._worker_prefix + record.name
        fields = {name: str(value) for name, value in record.to_dict().items() if name != "name"}
        with self._redis.pipeline() as pipe:
            pipe.hset(key, mapping=cast(dict[FieldT, EncodableT], fields))
            pipe.expire(key, ALIVE_SECONDS)
            pipe.sadd(self._workers_key, record.name)
            pipe.execute()

    def leave(self, name: str) -> None:
        """Remove the worker."""
        with self._redis.pipeline() as pipe:
            pipe.delete(self._worker_prefix + name)
            pipe.srem(self._workers_key, name)
            pipe.execute()

    def ready(self) -> list[WorkerRecord]:
        """Return the workers that are ready now, sorted by name; remove those whose record has expired.

        A record with more than ALIVE_SECONDS left is from before Redis' clock was set back, and is ignored: the next
        heartbeat of a live worker corrects it within a second.
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
        labels=int(fields.get("labels", 0)),
    )

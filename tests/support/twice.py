"""A client whose every request is sent twice, as redis-py does when the first answer is lost."""

from typing import Any

import redis
from redis.client import Pipeline


class TwiceRedis(redis.Redis):
    """Sends every pipeline twice and returns the second answers."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(connection_pool=client.connection_pool)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _TwicePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _TwicePipeline(Pipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = list(self.command_stack)
        super().execute(raise_on_error)
        self.command_stack = stack
        return super().execute(raise_on_error)

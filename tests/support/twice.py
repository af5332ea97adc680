"""A client whose every request is sent twice, as redis-py does when the first answer is lost."""

from collections.abc import Callable
from typing import Any

import redis
from redis.client import Pipeline


class TwiceRedis(redis.Redis):
    """Sends every command and every pipeline twice and returns the second answers."""

    def __init__(self, client: redis.Redis, between: Callable[[], None] = lambda: None) -> None:
        """`between` is called after the first of two requests."""
        super().__init__(connection_pool=client.connection_pool)
        self._between = between

    def execute_command(self, *args: Any, **options: Any) -> Any:
        super().execute_command(*args, **options)
        self._between()
        return super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipeline = _TwicePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.between = self._between
        return pipeline


class _TwicePipeline(Pipeline):
    between: Callable[[], None]

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = list(self.command_stack)
        super().execute(raise_on_error)
        self.between()
        self.command_stack = stack
        return super().execute(raise_on_error)

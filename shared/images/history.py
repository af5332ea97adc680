"""Records in Redis which image stores have been set up: an unmounted store cannot tell."""

import redis

from shared.jobs.queue import Queue

# Never expires. If Redis is emptied, a store counts as new again; then no job waits for it either.
STORES_KEY = "image_stores"


class StoreHistory:
    """Distinguishes a new store from an unavailable one."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        self._redis = client
        self._key = queue.key(STORES_KEY)

    def add(self, root: str) -> None:
        """Record that the store at `root` has been set up."""
        self._redis.sadd(self._key, root)

    def knows(self, root: str) -> bool:
        """Whether the store at `root` has been set up before."""
        return bool(self._redis.sismember(self._key, root))

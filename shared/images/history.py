"""Which image stores have been set up: kept with the records, as an unmounted store cannot tell it."""

import redis

from shared.jobs.queue import Queue

# Never expires; a store counts as new again when Redis is emptied, and then no job waits for it either.
STORES_KEY = "image_stores"


class StoreHistory:
    """Tells a new store from one that is unavailable."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        self._redis = client
        self._key = queue.key(STORES_KEY)

    def add(self, root: str) -> None:
        """Note that the store at `root` has been set up."""
        self._redis.sadd(self._key, root)

    def knows(self, root: str) -> bool:
        """Whether the store at `root` has been set up before."""
        return bool(self._redis.sismember(self._key, root))

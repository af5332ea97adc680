"""Looks up pictures in the result cache, under the result version of the ready workers."""

import time

from shared.result_cache import KnownResult, ResultCache
from shared.worker_registry import WorkerRegistry

# How long the ready workers' result version is cached. A worker is ready for longer than this before its first job
# ends, and results are stored under the version of the worker that computed them: a stale version causes a cache
# miss, never a result of another model.
WORKERS_SECONDS = 1.0


class CachedResults:
    """Finds cached results; finds none while workers with different result versions are ready."""

    def __init__(self, cache: ResultCache, workers: WorkerRegistry) -> None:
        self._cache = cache
        self._workers = workers
        self._version = ""
        self._read_at = -WORKERS_SECONDS

    @property
    def enabled(self) -> bool:
        """Whether the result cache is on."""
        return self._cache.enabled

    def find(self, sha256: str) -> KnownResult | None:
        """Return the cached result for a picture with this digest."""
        version = self._current_version() if self.enabled else ""
        return self._cache.find(version, sha256) if version else None

    def _current_version(self) -> str:
        now = time.monotonic()
        if now > self._read_at + WORKERS_SECONDS:
            tags = {record.result_version for record in self._workers.ready()}
            self._version = tags.pop() if len(tags) == 1 else ""
            self._read_at = now
        return self._version

"""Looks up pictures in the result cache, under the result version of the ready workers."""

from collections.abc import Sequence

from api.ready_workers import ReadyWorkers
from shared.result_cache import KnownResult, ResultCache


class CachedResults:
    """Finds cached results; finds none while workers with different result versions are ready."""

    def __init__(self, cache: ResultCache, workers: ReadyWorkers) -> None:
        self._cache = cache
        self._workers = workers

    @property
    def enabled(self) -> bool:
        """Whether the result cache is on."""
        return self._cache.enabled

    def find(self, sha256: str) -> KnownResult | None:
        """Return the cached result for a picture with this digest."""
        version = self._workers.result_version if self.enabled else ""
        return self._cache.find(version, sha256) if version else None

    def find_all(self, digests: Sequence[str]) -> list[KnownResult | None]:
        """Return the cached result of each picture, in one round trip."""
        version = self._workers.result_version if self.enabled else ""
        return self._cache.find_all(version, digests) if version else [None] * len(digests)

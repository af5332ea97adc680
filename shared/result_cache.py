"""Result cache: the same bytes are not classified twice with the same model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from shared.jobs.models import CacheEntry
from shared.jobs.queue import Queue


@dataclass(frozen=True)
class KnownResult:
    """A cached result: as many labels as any request may ask for, and the model that gave them."""

    result: Mapping[str, Any]
    model: Mapping[str, str]

    def first(self, top: int) -> dict[str, Any]:
        """Return the `top` most likely labels in the format of a result."""
        return dict(list(self.result.items())[:top])


class ResultCache:
    """Results by engine, preprocessing version, model digest and picture digest."""

    def __init__(self, client: redis.Redis, queue: Queue, ttl_seconds: int) -> None:
        """`client` decodes its answers to `str`; `ttl_seconds` of 0 turns the cache off."""
        self._redis = client
        self._queue = queue
        self._ttl_seconds = ttl_seconds

    @property
    def enabled(self) -> bool:
        """Whether results are cached."""
        return self._ttl_seconds > 0

    def entry(self, result_version: str, sha256: str, known: KnownResult) -> CacheEntry | None:
        """Return the cache entry for a result, None if the cache is off."""
        if not self.enabled:
            return None
        value = json.dumps({"result": known.result, "model": known.model})
        return CacheEntry(_key(result_version, sha256), value, self._ttl_seconds)

    def find(self, result_version: str, sha256: str) -> KnownResult | None:
        """Return the cached result for these bytes from a worker with this `result_version`, None if there is none."""
        return _known(cast(str | None, self._redis.get(self._queue.key(_key(result_version, sha256)))))

    def find_all(self, result_version: str, digests: Sequence[str]) -> list[KnownResult | None]:
        """Return what `find` returns for each of the digests, in one round trip."""
        keys = [self._queue.key(_key(result_version, sha256)) for sha256 in digests]
        return [_known(text) for text in cast(list[str | None], self._redis.mget(keys) if keys else [])]


def _known(text: str | None) -> KnownResult | None:
    if text is None:
        return None
    value = json.loads(text)
    return KnownResult(value["result"], value["model"])


def _key(result_version: str, sha256: str) -> str:
    return f"cache:{result_version}:{sha256}"

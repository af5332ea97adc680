"""The commands that a Redis server has received, from its statistics."""

from typing import Any

import redis


def sent(client: redis.Redis) -> dict[str, int]:
    """Return how often the server has received each command since its start or the last reset."""
    found: dict[str, Any] = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(figures["calls"]) for name, figures in found.items()}

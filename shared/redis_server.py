"""Whether a Redis server is fit for the service, and the message for one that is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from redis import exceptions

# What the scripts and redis-py need.
OLDEST_VERSION = (6, 2)
AWAY = "The service cannot reach its storage right now."
# The first that fits counts: (kind of error, part of the server's words in lower case, message).
REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (redis.AuthenticationError, "hello must", "Redis asks for a password, and REDIS_URL has none."),
    (redis.AuthenticationError, "required", "Redis asks for a password, and REDIS_URL has none."),
    (redis.AuthenticationError, "", "Redis refuses the user name or the password in REDIS_URL."),
    (exceptions.NoPermissionError, "", "The user in REDIS_URL may not run a command that the service needs."),
    (redis.ResponseError, "db index", "Redis has no database with the number in REDIS_URL."),
    (redis.ResponseError, "select is not allowed", "Redis has no database with the number in REDIS_URL."),
    (redis.ResponseError, "unknown command", "The server in REDIS_URL lacks commands: Redis 6.2 or newer is needed."),
    (redis.ReadOnlyError, "", "Redis is a read-only replica; REDIS_URL must lead to the primary."),
    (exceptions.ClusterError, "", "Redis runs in cluster mode, which the service does not support."),
    (exceptions.ClusterCrossSlotError, "", "Redis runs in cluster mode, which the service does not support."),
    (redis.BusyLoadingError, "", "Redis is still loading its data."),
    (redis.OutOfMemoryError, "", "Redis has no memory left."),
    (redis.ResponseError, "misconf", "Redis cannot write to its disk and refuses changes."),
)


@dataclass(frozen=True)
class ServerState:
    """What a server says of itself.

    `unusable` is the message for a server on which no job can run, `eviction` for one that may drop accepted jobs;
    "" if that is not so. `free_memory_share` is the free part of its `maxmemory`, 0 to 1; 1 without a limit.
    """

    unusable: str
    eviction: str
    free_memory_share: float

    @property
    def flaw(self) -> str:
        """Why no picture may be accepted; "" if nothing speaks against it."""
        return self.unusable or self.eviction

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "ServerState":
        """Read the answer to `INFO`; a server that leaves something out is taken at its best."""
        most = int(info.get("maxmemory", 0))
        free = max(0.0, 1 - int(info.get("used_memory", 0)) / most) if most else 1.0
        return cls(_unusable(info), _eviction(info), free)


class RedisServer:
    """The server behind a client."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` decodes its answers to `str`."""
        self._redis = client

    def state(self) -> ServerState:
        """Return what the server says of itself now; raises redis.RedisError if it does not answer."""
        return ServerState.from_info(self._redis.info())

    def flaw(self) -> str:
        """Return why the service cannot work with the server now, also when it does not answer; "" if it can."""
        try:
            return self.state().flaw
        except (redis.RedisError, OSError) as error:
            return reason_of(error)


def reason_of(error: Exception) -> str:
    """Return the message for an error of a store: the cause if it is known, else that the store is unreachable."""
    words = str(error).lower()
    return next((say for kind, part, say in REASONS if isinstance(error, kind) and part in words), AWAY)


def _unusable(info: Mapping[str, Any]) -> str:
    mode = info.get("redis_mode") or info.get("server_mode")
    if mode == "cluster" or info.get("cluster_enabled") == 1:
        return "Redis runs in cluster mode, which the service does not support."
    if mode == "sentinel":
        return "REDIS_URL leads to a sentinel; it must lead to the primary."
    if info.get("role") == "slave":
        return "Redis is a replica; REDIS_URL must lead to the primary."
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST_VERSION:
        return f"Redis {version} is too old: 6.2 or newer is needed."
    return ""


def _eviction(info: Mapping[str, Any]) -> str:
    policy = info.get("maxmemory_policy", "noeviction")
    # Without a limit nothing is evicted, whatever the policy.
    if not int(info.get("maxmemory", 0)) or policy == "noeviction":
        return ""
    return f"Redis may drop accepted jobs: its maxmemory-policy is {policy} and must be noeviction."

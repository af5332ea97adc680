"""Checks whether a Redis server meets the requirements of the service; messages if it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from redis import exceptions
from redis.sentinel import MasterNotFoundError

# Required by the scripts and by redis-py.
OLDEST_VERSION = (6, 2)
AWAY = "The service cannot reach its storage right now."
# The first match applies: (type of error, part of the server's message in lower case, message).
REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (redis.AuthenticationError, "hello must", "Redis requires a password, and REDIS_URL has none."),
    (redis.AuthenticationError, "required", "Redis requires a password, and REDIS_URL has none."),
    (redis.AuthenticationError, "", "Redis refuses the user name or the password in REDIS_URL."),
    (exceptions.NoPermissionError, "", "The user in REDIS_URL may not run a command that the service needs."),
    (redis.ResponseError, "db index", "Redis has no database with the number in REDIS_URL."),
    (redis.ResponseError, "select is not allowed", "Redis has no database with the number in REDIS_URL."),
    (redis.ResponseError, "unknown command", "The server in REDIS_URL lacks commands: Redis 6.2 or newer is needed."),
    (redis.ReadOnlyError, "", "Redis is a read-only replica; REDIS_URL must point to the primary."),
    (exceptions.ClusterError, "", "Redis runs in cluster mode, which the service does not support."),
    (exceptions.ClusterCrossSlotError, "", "Redis runs in cluster mode, which the service does not support."),
    (MasterNotFoundError, "", "The sentinels in REDIS_URL cannot be reached, or know no primary of this name."),
    (redis.BusyLoadingError, "", "Redis is still loading its data."),
    (redis.OutOfMemoryError, "", "Redis has no memory left."),
    (redis.ResponseError, "misconf", "Redis cannot write to its disk and refuses changes."),
)


@dataclass(frozen=True)
class ServerState:
    """State of a server, from its answer to `INFO`.

    `unusable` is the message for a server that cannot run jobs, `eviction` for one that may drop accepted jobs; "" if
    it can run them, or does not drop any. `free_memory_share` is the free share of `maxmemory`, 1 without a limit.
    """

    unusable: str
    eviction: str
    free_memory_share: float

    @property
    def flaw(self) -> str:
        """Why no picture may be accepted; "" if pictures may be accepted."""
        return self.unusable or self.eviction

    @classmethod
    def from_info(cls, info: Mapping[str, Any], min_replicas: int = 0) -> "ServerState":
        """Parse the answer to `INFO`; missing fields count as good, except replicas."""
        most = int(info.get("maxmemory", 0))
        free = max(0.0, 1 - int(info.get("used_memory", 0)) / most) if most else 1.0
        return cls(_unusable(info) or _too_few_replicas(info, min_replicas), _eviction(info), free)


class RedisServer:
    """The server behind a client."""

    def __init__(self, client: redis.Redis, min_replicas: int = 0) -> None:
        """`client` decodes its answers to `str`; the server must have `min_replicas` that are connected."""
        self._redis = client
        self._min_replicas = min_replicas

    def state(self) -> ServerState:
        """Return the current state of the server; raises redis.RedisError if it does not answer."""
        return ServerState.from_info(self._redis.info(), self._min_replicas)

    def flaw(self) -> str:
        """Return why the service cannot use the server now, including that it does not answer; "" if it can."""
        try:
            return self.state().flaw
        except (redis.RedisError, OSError) as error:
            return reason_of(error)


def reason_of(error: Exception) -> str:
    """Return the message for an error of Redis: its cause if known, else that the storage is unreachable."""
    words = str(error).lower()
    return next((say for kind, part, say in REASONS if isinstance(error, kind) and part in words), AWAY)


def _unusable(info: Mapping[str, Any]) -> str:
    mode = info.get("redis_mode") or info.get("server_mode")
    if mode == "cluster" or info.get("cluster_enabled") == 1:
        return "Redis runs in cluster mode, which the service does not support."
    if mode == "sentinel":
        return "REDIS_URL points to a sentinel; it must point to the primary."
    if info.get("role") == "slave":
        return "Redis is a replica; REDIS_URL must point to the primary."
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST_VERSION:
        return f"Redis {version} is too old: 6.2 or newer is needed."
    return ""


def _too_few_replicas(info: Mapping[str, Any], min_replicas: int) -> str:
    told = (info.get(f"slave{number}", {}) for number in range(int(info.get("connected_slaves", 0))))
    online = sum(replica.get("state") == "online" for replica in told)
    if online >= min_replicas:
        return ""
    return f"Redis has {online} connected replicas, and REDIS_MIN_REPLICAS is {min_replicas}."


def _eviction(info: Mapping[str, Any]) -> str:
    policy = info.get("maxmemory_policy", "noeviction")
    # Without a memory limit, no policy evicts keys.
    if not int(info.get("maxmemory", 0)) or policy == "noeviction":
        return ""
    return f"Redis may drop accepted jobs: its maxmemory-policy is {policy} and must be noeviction."

"""Connections to Redis, with limits on their number and on time."""

from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from shared.redis_url import RedisUrl

# A request must find out within 2 seconds that Redis is unreachable, including one retry after a stale connection.
CONNECT_TIMEOUT_SECONDS = 0.5
ANSWER_TIMEOUT_SECONDS = 1.0
# A worker that has a result retries for about eight seconds; longer would exceed the job's lease.
PATIENT_RETRIES = 10


class BlockingSentinelPool(SentinelConnectionPool, redis.BlockingConnectionPool):
    """Connections to the primary that sentinels name, where callers wait for a free one."""


def connect(
    url: RedisUrl, *, max_connections: int, patient: bool = False, connection_wait_seconds: float = 0
) -> redis.Redis:
    """Return a client with at most `max_connections`; answers are `str`.

    A call waits up to `connection_wait_seconds` for a free connection and then raises redis.ConnectionError.

    A `patient` client retries during short outages, others fail at once. The client connects on first use.
    """
    backoff = ExponentialWithJitterBackoff(cap=1, base=0.05)
    keepalive: dict[str, Any] = {} if url.path else {"socket_keepalive": True}
    waiting: dict[str, Any] = {"timeout": connection_wait_seconds} if connection_wait_seconds else {}
    kind, where = _pool(url, blocking=bool(waiting))
    pool = kind(
        **where,
        max_connections=max_connections,
        decode_responses=True,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=ANSWER_TIMEOUT_SECONDS,
        retry=Retry(backoff, PATIENT_RETRIES) if patient else Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError] if patient else [redis.ConnectionError],
        health_check_interval=0,
        **waiting,
        **keepalive,
        **url.connection_options(),
    )
    return redis.Redis(connection_pool=pool)


def _pool(url: RedisUrl, *, blocking: bool) -> tuple[type[redis.ConnectionPool], dict[str, Any]]:
    """Return the kind of pool, and its arguments that say where connections lead to."""
    if url.primary:
        addresses = [(address.host, address.port) for address in url.addresses]
        # Without retries of their own: there are other sentinels, and whoever calls retries.
        options = {**url.sentinel_options(), "retry": Retry(NoBackoff(), 0)}
        sentinel = Sentinel(addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        kind = BlockingSentinelPool if blocking else SentinelConnectionPool
        return kind, {"service_name": url.primary, "sentinel_manager": sentinel}
    where = {"connection_class": _connection_class(url)}
    return redis.BlockingConnectionPool if blocking else redis.ConnectionPool, where


def _connection_class(url: RedisUrl) -> type[redis.connection.AbstractConnection]:
    if url.path:
        return redis.UnixDomainSocketConnection
    return redis.SSLConnection if url.tls else redis.Connection

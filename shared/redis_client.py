"""Connections to Redis, bounded in number and in time."""

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

# A request must learn within 2 seconds that Redis is away: get a connection, ask, and once more if it had gone stale.
POOL_TIMEOUT_SECONDS = 0.5
CONNECT_TIMEOUT_SECONDS = 0.5
ANSWER_TIMEOUT_SECONDS = 1.0
# A worker with a result in hand tries for about eight seconds; its job's lease bounds what more would bring.
PATIENT_RETRIES = 10


def connect(url: str, *, max_connections: int, decode: bool, patient: bool = False) -> redis.Redis:
    """Return a client over a pool of at most `max_connections`; answers are `str` if `decode`, else `bytes`.

    Threads that find the pool empty wait half a second for a connection. A `patient` client rides out short
    outages, others give up at once. Nothing is connected yet.
    """
    backoff = ExponentialWithJitterBackoff(cap=1, base=0.05)
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=POOL_TIMEOUT_SECONDS,
        decode_responses=decode,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=ANSWER_TIMEOUT_SECONDS,
        retry=Retry(backoff, PATIENT_RETRIES) if patient else Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError] if patient else [redis.ConnectionError],
        health_check_interval=0,
        socket_keepalive=True,
    )
    return redis.Redis(connection_pool=pool)

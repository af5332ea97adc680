"""Quotas: how many uploads a key, or without keys an address, may send; counted in Redis for all API processes."""

import ipaddress
import time
from typing import Any, cast

import redis
from flask import Blueprint, Flask, Response, request

from api.auth import current_owner
from api.problems import problem
from shared.jobs.queue import Queue


def register_quotas(app: Flask, client: redis.Redis, queue: Queue, rate_limit: str) -> None:
    """Hold the uploads of `app` to `rate_limit`, "" for none; after the keys and the blueprint of the uploads.

    While Redis is unreachable uploads answer 503, as they do without quotas: they could not be accepted.
    """
    if not rate_limit:
        return
    from flask_limiter import HeaderNames, Limiter, RateLimitExceeded

    # The bounded pool of connections that everybody here uses; the address only says that it is one to a Redis.
    pool: Any = client.connection_pool
    storage = {"connection_pool": pool, "key_prefix": queue.key("LIMITS")}
    limiter = Limiter(caller, app=app, storage_uri="redis://", storage_options=storage)
    limiter.limit(rate_limit, methods=["POST"])(cast(Blueprint, app.blueprints["upload"]))

    @app.errorhandler(RateLimitExceeded)
    def refuse(error: RateLimitExceeded) -> Response:
        return problem(429, f"Too many uploads: {error.description} are allowed. Try again later.")

    @app.after_request
    def tell(response: Response) -> Response:
        """Add Flask-Limiter's headers. Not its own way, which puts the end of the window into any `Retry-After`."""
        limit = limiter.current_limit
        if limit is None:
            return response
        try:
            remaining, reset_at = limit.remaining, limit.reset_at
        except redis.RedisError:
            # What was accepted was accepted.
            return response
        response.headers[HeaderNames.LIMIT.value] = str(limit.limit.amount)
        response.headers[HeaderNames.REMAINING.value] = str(remaining)
        response.headers[HeaderNames.RESET.value] = str(reset_at)
        if response.status_code == 429:
            response.headers["Retry-After"] = str(max(1, reset_at - int(time.time())))
        return response


def caller() -> str:
    """Return whose quota counts: that of the key or, where none is needed, of the address."""
    owner = current_owner()
    return f"key:{owner}" if owner else f"address:{network_of(request.remote_addr or '')}"


def network_of(address: str) -> str:
    """Return an IPv4 address as it is and an IPv6 one as its /64, all of which is one customer's."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    # As a socket that listens for both kinds gives those of IPv4.
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found), 64), strict=False))

"""Quotas of uploads, retries and batches, per API key or, if no keys are set, per address; counted in Redis."""

import ipaddress
import re
import time
from typing import TYPE_CHECKING, Any, cast

import redis
from flask import Blueprint, Flask, Response, current_app, request

from api.auth import current_owner
from api.problems import problem
from shared.errors import QuotaExceeded
from shared.jobs.queue import Queue

if TYPE_CHECKING:
    from flask_limiter import Limiter, RequestLimit

# An address with a port, as some proxies write it; IPv6 may be in brackets without a port too.
_WITH_PORT = re.compile(r"\[([^]]*)].*|([0-9]+\.[0-9.]+):.*")
UNKNOWN = "unknown"
# Key in the extensions of the application.
LIMITER = "topthree.limiter"


def register_quotas(app: Flask, client: redis.Redis, queue: Queue, rate_limit: str) -> None:
    """Limit uploads, retries and pictures of batches to `rate_limit`, "" for none.

    Call it after keys and blueprints of `app` are set.

    While Redis is unreachable, uploads get a 503, as they do without quotas: they cannot be accepted.
    """
    if not rate_limit:
        return
    from flask_limiter import HeaderNames, Limiter, RateLimitExceeded

    # Use the shared, bounded connection pool; the URI only selects the Redis storage.
    pool: Any = client.connection_pool
    storage = {"connection_pool": pool, "key_prefix": queue.key("LIMITS")}
    limiter = Limiter(caller, app=app, storage_uri="redis://", storage_options=storage)
    app.extensions[LIMITER] = limiter
    # One quota for all; its name is that of an earlier version, which counted uploads only.
    shared = limiter.shared_limit(rate_limit, scope="upload.upload", methods=["POST"])
    for name in ("upload", "results", "batches"):
        shared(cast(Blueprint, app.blueprints[name]))

    @app.errorhandler(RateLimitExceeded)
    def refuse(error: RateLimitExceeded) -> Response:
        return problem(429, _sentence(error.description))

    @app.after_request
    def tell(response: Response) -> Response:
        """Add the quota headers. Flask-Limiter itself would overwrite every `Retry-After` with the window's end."""
        limit = limiter.current_limit
        if limit is None:
            return response
        try:
            remaining, reset_at = limit.remaining, limit.reset_at
        except redis.RedisError:
            # The upload may have been accepted: respond without the headers.
            return response
        response.headers[HeaderNames.LIMIT.value] = str(limit.limit.amount)
        response.headers[HeaderNames.REMAINING.value] = str(remaining)
        response.headers[HeaderNames.RESET.value] = str(reset_at)
        if response.status_code == 429:
            response.headers["Retry-After"] = str(max(1, reset_at - int(time.time())))
        return response


def count_uploads(count: int) -> None:
    """Count further uploads towards the caller's quota, in addition to the one that the request counts as.

    Raises:
        QuotaExceeded: there is no room for all of them; none is counted, except for a moment, in which other requests
            of the caller may be refused.
    """
    limiter = current_app.extensions.get(LIMITER)
    if limiter is None or count < 1:
        return
    for each in limiter.current_limits:
        if count >= each.limit.amount:
            raise QuotaExceeded(f"{_sentence(each.limit, again=False)} Send at most {each.limit.amount} at once.")
    counted = []
    for each in limiter.current_limits:
        # Count first: requests that only looked whether there is room would find the same room at the same time.
        counted.append(each)
        if not limiter.limiter.hit(each.limit, *each.request_args, cost=count):
            _take_back(limiter, counted, count)
            raise QuotaExceeded(_sentence(each.limit))


def _take_back(limiter: "Limiter", counted: "list[RequestLimit]", count: int) -> None:
    for each in counted:
        left = limiter.storage.incr(each.key, each.limit.get_expiry(), amount=-count)
        if left < 0:
            # The window has ended in the meantime, and its count with it.
            limiter.storage.clear(each.key)


def _sentence(limit: object, *, again: bool = True) -> str:
    """Return the message for a limit, whose text is like "5 per 1 minute"; `again`: trying again later may help."""
    told = f"Too many uploads: {str(limit).replace(' per 1 ', ' per ')} are allowed."
    return f"{told} Try again later." if again else told


def caller() -> str:
    """Return the key that requests are counted under: the API key's name, or the address if no key is needed."""
    owner = current_owner()
    return f"key:{owner}" if owner else f"address:{network_of(request.remote_addr or '')}"


def network_of(address: str) -> str:
    """Return an IPv4 address, and an IPv6 address as its /64, which usually belongs to one customer.

    Ports and IPv6 zones are dropped. All texts that are not addresses count as one caller, UNKNOWN.
    """
    with_port = _WITH_PORT.fullmatch(address)
    try:
        found = ipaddress.ip_address(with_port[1] or with_port[2] if with_port else address)
    except ValueError:
        return UNKNOWN
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    # A dual-stack socket reports IPv4 addresses as IPv4-mapped ones.
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found), 64), strict=False))

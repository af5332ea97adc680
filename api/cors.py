"""CORS: which other origins may read responses; none by default, or those on a list."""

from collections.abc import Collection, Sequence

# How long a browser caches a preflight response.
PREFLIGHT_SECONDS = 600
# Response headers that pages may read in addition to the CORS-safelisted ones.
EXPOSED = (
    "Cache-Status, Location, Preference-Applied, Retry-After, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)
METHODS = "DELETE, GET, PATCH, POST"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, Prefer, X-API-Key, X-Request-ID"
VARY = ("Vary", "Origin")
PREFLIGHT = (
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Allow-Headers", ACCEPTED),
    ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
)


class Cors:
    """The CORS headers; without them a browser blocks pages of other origins."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` are the allowed ones, as browsers send them (`https://example.org`)."""
        exposed = ("Access-Control-Expose-Headers", EXPOSED)
        self._allowed = {origin: (VARY, ("Access-Control-Allow-Origin", origin), exposed) for origin in origins}

    def headers(self, origin: str | None, preflight: bool) -> Sequence[tuple[str, str]]:
        """Return the headers to add to a response to a page of `origin`; `preflight` for a preflight request."""
        if not self._allowed:
            return ()
        allowed = self._allowed.get(origin or "")
        if allowed is None:
            return (VARY,)
        return allowed + PREFLIGHT if preflight else allowed

"""Which pages of other origins may read the answers (CORS): none, or those on a list."""

from collections.abc import Collection, Sequence

# A browser asks again after this.
PREFLIGHT_SECONDS = 600
# What a page may read beside the body and the headers that every page may.
EXPOSED = (
    "Cache-Status, Location, Preference-Applied, Retry-After, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)
METHODS = "DELETE, GET, POST"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, Prefer, X-API-Key, X-Request-ID"
VARY = ("Vary", "Origin")
PREFLIGHT = (
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Allow-Headers", ACCEPTED),
    ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
)


class Cors:
    """The headers for pages of other origins; a page that gets none of them is not let in by its browser."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` are those that are let in, as browsers write them (`https://example.org`)."""
        exposed = ("Access-Control-Expose-Headers", EXPOSED)
        self._allowed = {origin: (VARY, ("Access-Control-Allow-Origin", origin), exposed) for origin in origins}

    def headers(self, origin: str | None, preflight: bool) -> Sequence[tuple[str, str]]:
        """Return what to add to the answer to a page of `origin`; a `preflight` asks what the page may send."""
        if not self._allowed:
            return ()
        allowed = self._allowed.get(origin or "")
        if allowed is None:
            return (VARY,)
        return allowed + PREFLIGHT if preflight else allowed

"""Which pages of other origins may read the answers (CORS): none, or those on a list."""

from collections.abc import Collection, Mapping

# A browser asks again after this.
PREFLIGHT_SECONDS = 600
# What a page may read beside the body and the headers that every page may.
EXPOSED = (
    "Cache-Status, Location, Preference-Applied, Retry-After, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)
METHODS = "DELETE, GET, POST"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, Prefer, X-API-Key, X-Request-ID"


class Cors:
    """The headers for pages of other origins; a page that gets none of them is not let in by its browser."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` are those that are let in, as browsers write them (`https://example.org`)."""
        self._origins = frozenset(origins)

    def headers(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Return what to add to the answer to a request with the headers `asked` (`ORIGIN`, as in CGI)."""
        if not self._origins:
            return {}
        origin = asked.get("ORIGIN")
        if origin not in self._origins:
            return {"Vary": "Origin"}
        headers = {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
        }
        if "ACCESS_CONTROL_REQUEST_METHOD" in asked:
            headers |= {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": ACCEPTED,
                "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            }
        return headers

"""The headers of every response: security, CORS and the request id."""

from collections.abc import Collection

from api.cors import Cors
from api.request_id import HEADER

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Browsers run no scripts of other origins, do no MIME sniffing and show the page in no frame.
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    # For browsers without support for `frame-ancestors`.
    ("X-Frame-Options", "DENY"),
)


class CommonHeaders:
    """Builds the common headers, for the middleware and for the web server's own responses."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` are those whose pages may read responses."""
        self._cors = Cors(origins)

    def of(self, request_id: str, origin: str | None, preflight: bool) -> list[tuple[str, str]]:
        """Return the headers to add to the response.

        `origin` is the request's `Origin` header. A `preflight` request has `Access-Control-Request-Method`.
        """
        return [*SECURITY_HEADERS, *self._cors.headers(origin, preflight), (HEADER, request_id)]

"""The headers of every answer: security, CORS and the request's id."""

from collections.abc import Collection

from api.cors import Cors
from api.request_id import HEADER

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# A browser runs no foreign script, guesses no types and shows the page in no frame.
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    # For browsers that do not know `frame-ancestors`.
    ("X-Frame-Options", "DENY"),
)


class CommonHeaders:
    """The one table of these headers, for the middleware and for the web server's own answers."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` are those whose pages may read the answers."""
        self._cors = Cors(origins)

    def of(self, request_id: str, origin: str | None, preflight: bool) -> list[tuple[str, str]]:
        """Return what to add to the answer to a request.

        `origin` is its `Origin`; a `preflight` has `Access-Control-Request-Method`.
        """
        return [*SECURITY_HEADERS, *self._cors.headers(origin, preflight), (HEADER, request_id)]

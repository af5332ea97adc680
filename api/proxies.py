"""WSGI middleware for the headers of trusted proxies: the client's address, and the path prefix they removed."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ADDRESSES = "HTTP_X_FORWARDED_FOR"
PREFIXES = "HTTP_X_FORWARDED_PREFIX"
# Nothing that could turn a `Location` into an address on another host.
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")


class TrustedProxies:
    """Sets REMOTE_ADDR from `X-Forwarded-For` and SCRIPT_NAME from `X-Forwarded-Prefix`; ignores other proxy headers.

    The scheme and the host are not used: the service makes no absolute URLs and sets no cookies.
    """

    def __init__(self, app: "WSGIApplication", proxies: int) -> None:
        """Each of the `proxies`, at least one, adds an address; the last value of the prefix counts."""
        self._app = ProxyFix(app, x_for=proxies, x_proto=0, x_prefix=1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle a request."""
        # ProxyFix takes quoted text as one entry: a client could open a quote in front of the proxies' entries.
        environ[ADDRESSES] = environ.get(ADDRESSES, "").replace('"', "")
        prefix = environ.get(PREFIXES, "").rpartition(",")[2].strip()
        environ[PREFIXES] = prefix if _PREFIX.fullmatch(prefix) else ""
        return self._app(environ, start_response)

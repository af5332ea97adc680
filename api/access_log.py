"""The access log: one line per request, off by default."""

import logging
import time
from collections.abc import Iterable
from urllib.parse import quote

log = logging.getLogger(__name__)

# Characters allowed unescaped in a path (RFC 3986); all others, including line breaks, are logged as `%xx`.
PATH_CHARACTERS = "/:@!$&'()*+,;="


class AccessLog:
    """Logs each request with method, path, status, duration and size; every line carries the request id."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    def write(self, method: str, path: str, status: str, headers: Iterable[tuple[str, str]], began: float) -> None:
        """Log a request and the `status` (`200 OK`) and `headers` of its response.

        `path` is decoded as WSGI requires (Latin-1). `began` is the request's start on the monotonic clock.
        """
        if not self._enabled:
            return
        fields = {
            "method": quote(method),
            "path": quote(path, PATH_CHARACTERS, encoding="latin-1"),
            "status": int(status[:3]),
            "seconds": round(time.monotonic() - began, 6),
        }
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        if length is not None:
            fields["bytes"] = int(length)
        log.info("request", extra=fields)

"""The access log: one line a request, off by default."""

import logging
import time
from collections.abc import Iterable
from urllib.parse import quote

log = logging.getLogger(__name__)

# What may stand in a path as it is (RFC 3986); all else is logged as `%xx`, line breaks and control characters too.
PATH_CHARACTERS = "/:@!$&'()*+,;="


class AccessLog:
    """Logs each request with method, path, status, seconds and bytes; the request's id is in every line."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    def write(self, method: str, path: str, status: str, headers: Iterable[tuple[str, str]], began: float) -> None:
        """Log a request whose answer begins with this `status` (`200 OK`) and these `headers`.

        `path` is decoded as WSGI wants it. The request `began` at that time on the monotonic clock.
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

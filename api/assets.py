"""Responses for the pages' static files: content type from the name, compressed, ETag, conditional requests."""

import hashlib
from pathlib import PurePath

from flask import Response, request

from api.compression import Compressed

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


class Asset:
    """A static file; it is compressed and its digest is computed once."""

    def __init__(self, name: str, content: bytes, cache_control: str) -> None:
        self._content = Compressed(content)
        self._content_type = CONTENT_TYPES[PurePath(name).suffix]
        self._digest = hashlib.sha256(content).hexdigest()[:32]
        self._cache_control = cache_control

    def response(self) -> Response:
        """Return the file, or 304 if the client has this version."""
        response = self._content.response(self._content_type)
        response.headers["Cache-Control"] = self._cache_control
        # Each form has an ETag of its own (RFC 9110, 8.8.3.3).
        coding = response.headers.get("Content-Encoding")
        response.set_etag(f"{self._digest}-{coding}" if coding else self._digest)
        response.make_conditional(request)
        return response

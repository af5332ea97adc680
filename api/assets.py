"""Responses for the pages' static files: content type from the name, ETag, conditional requests."""

from pathlib import PurePath

from flask import Response, request

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def asset(name: str, content: bytes, cache_control: str) -> Response:
    """Return the file called `name`, or 304 if the client has this version."""
    response = Response(content, content_type=CONTENT_TYPES[PurePath(name).suffix])
    response.headers["Cache-Control"] = cache_control
    response.add_etag()
    response.make_conditional(request)
    return response

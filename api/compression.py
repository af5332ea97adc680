"""Compressed responses: content that is compressed once, and streams whose parts are compressed as they come."""

import gzip
import zlib
from collections.abc import Iterable, Iterator

from flask import Response, request

GZIP, IDENTITY = "gzip", "identity"
# For zlib: write gzip's format.
_GZIP_FORMAT = zlib.MAX_WBITS + 16
# The event loop serves nothing else meanwhile, and results of batches shrink to a fifth even so.
_STREAM_LEVEL = 1
# Pictures are compressed already: sending a twentieth less is not worth the work of the client.
_WORTHWHILE = 0.9


class Compressed:
    """Content that never changes; it is kept in compressed form, if that is much smaller."""

    def __init__(self, content: bytes) -> None:
        compressed = gzip.compress(content, mtime=0)
        self._is_smaller = len(compressed) < _WORTHWHILE * len(content)
        self._kept = compressed if self._is_smaller else content

    def response(self, content_type: str) -> Response:
        """Return the content in a form that the client accepts."""
        if not self._is_smaller:
            return Response(self._kept, content_type=content_type)
        if _accepts_gzip():
            return _marked(Response(self._kept, content_type=content_type), GZIP)
        # Clients without gzip are rare.
        return _marked(Response(gzip.decompress(self._kept), content_type=content_type), IDENTITY)


def compressed_stream(parts: Iterable[bytes], content_type: str) -> Response:
    """Return a response that sends each part at once, compressed if the client accepts that."""
    if _accepts_gzip():
        return _marked(Response(_gzipped(parts), content_type=content_type), GZIP)
    return _marked(Response(parts, content_type=content_type), IDENTITY)


def _accepts_gzip() -> bool:
    return request.accept_encodings.best_match([GZIP, IDENTITY]) == GZIP


def _marked(response: Response, coding: str) -> Response:
    response.vary.add("Accept-Encoding")
    if coding != IDENTITY:
        response.headers["Content-Encoding"] = coding
    return response


def _gzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_STREAM_LEVEL, wbits=_GZIP_FORMAT)
    for part in parts:
        # Otherwise the compressor would keep the part until there is more.
        yield compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()

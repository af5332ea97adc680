"""Extends waitress' request parser: early rejection, and its own refusals (400, 413, 431, 501) as problems."""

import logging
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError

from api.early_rejection import Refusal
from api.request_id import choose_request_id

# A chunked body may have this many framing bytes, plus one for every sixteen bytes of data: parsing chunks of a few
# bytes, or chunk lines without end, would occupy the thread that serves all connections.
FRAMING_BYTES = 16 * 1024
DATA_BYTES_PER_FRAMING_BYTE = 16
NO_ROOM = Refusal(503, "The service has no room for the body right now. Try again later.", [("Retry-After", "5")])

log = logging.getLogger(__name__)


def refusal_of(error: Any) -> Refusal:
    """Return a parser's `error` as a Refusal; errors of waitress itself are converted."""
    if isinstance(error, Refusal):
        return error
    return Refusal(error.code, f"{str(error.body).rstrip('.')}.", title=error.reason)


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """A request while it is being received; `began` is its start on the monotonic clock."""

    error: Any
    # Used in the access log for a request whose request line was not read.
    command = path = "-"

    def __init__(self, adjustments: Any) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()
        self._asked = False

    @cached_property
    def request_id(self) -> str:
        """The request id for the server's own responses; read it only after the headers have arrived."""
        return choose_request_id(self.headers.get("X_REQUEST_ID", ""))

    def received(self, data: bytes) -> int:
        """Parse `data`; return how many of its bytes belong to this request."""
        try:
            used = int(super().received(data))
            refusal = self._refusal()
        except OSError as error:
            log.warning("A body cannot be kept while it is received: %s", error)
            refusal = NO_ROOM
        except ValueError:
            # From the standard library: a URL or a number that waitress did not check.
            refusal = Refusal(400, "The request line or a header cannot be read.")
        if refusal is None:
            return used
        self.error = refusal
        self.completed = True
        # Do not answer "100 Continue" to a client that waits for it before it sends its body.
        self.expect_continue = False
        # All bytes received so far belong to the refused request; none are parsed as the next request.
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the header; ParsingError also if the end of the body is ambiguous (RFC 9112, 6.1)."""
        super().parse_header(header_plus)
        # waitress removes Transfer-Encoding if it applies it; it does not in HTTP/1.0.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding with HTTP/1.0 or Content-Length is not accepted")

    def close(self) -> None:
        """Discard the body."""
        # On a full disk, closing the file raises because its buffer cannot be written; the file is closed nevertheless.
        with suppress(OSError):
            super().close()

    def _refusal(self) -> Refusal | None:
        if self.error is not None:
            refusal = refusal_of(self.error)
            if refusal.status == 431:
                # waitress assumes `GET /` if it has not read the request line.
                self.command = self.path = "-"
            return refusal
        if not self.headers_finished or self.empty:
            return None
        if self.chunked and self._framing_bytes() > FRAMING_BYTES + len(self.body_rcv) // DATA_BYTES_PER_FRAMING_BYTE:
            return Refusal(400, "The chunks of the body are too small, or never end.")
        if self._asked:
            return None
        self._asked = True
        # Method and path as the application sees them. This runs in the thread that serves all connections: it must not
        # block.
        early: Refusal | None = self.adj.refuse(self.command.upper(), "/" + self.path.lstrip("/"), self.headers)
        return early

    def _framing_bytes(self) -> int:
        return int(self.body_bytes_received - len(self.body_rcv))

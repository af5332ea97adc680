"""Reads requests as waitress does, and answers what it refuses itself (400, 413, 431, 501) as a problem."""

import logging
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError

from api.early_rejection import Refusal
from api.request_id import choose_request_id

# A chunked body may have so many bytes beside its data, and one for every sixteen of them: chunks of a few bytes, and
# lines that never end, cost the thread that serves all connections far more than they carry.
FRAMING_BYTES = 16 * 1024
DATA_BYTES_PER_FRAMING_BYTE = 16
NO_ROOM = Refusal(503, "The service has no room for the body right now. Try again later.", [("Retry-After", "5")])

log = logging.getLogger(__name__)


def refusal_of(error: Any) -> Refusal:
    """Return the refusal that a parser's `error` is, or what it is in waitress' own form."""
    if isinstance(error, Refusal):
        return error
    return Refusal(error.code, f"{str(error.body).rstrip('.')}.", title=error.reason)


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request while it is being received; `began` is when, on the monotonic clock."""

    error: Any
    # Of a request whose first line was not read.
    command = path = "-"

    def __init__(self, adjustments: Any) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()
        self._asked = False

    @cached_property
    def request_id(self) -> str:
        """What a request that the server answers itself is called; to be asked for when its headers are there."""
        return choose_request_id(self.headers.get("X_REQUEST_ID", ""))

    def received(self, data: bytes) -> int:
        """Take in `data`, return how much of it was used up."""
        try:
            used = int(super().received(data))
            refusal = self._refusal()
        except OSError as error:
            log.warning("A body cannot be kept while it is received: %s", error)
            refusal = NO_ROOM
        except ValueError:
            # What the standard library says to an address or a number that waitress lets through.
            refusal = Refusal(400, "The request line or a header cannot be read.")
        if refusal is None:
            return used
        self.error = refusal
        self.completed = True
        # A client that asks before it sends its body must not be told to go on,
        self.expect_continue = False
        # and what it has sent already belongs to the refused request, not to a next one.
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head; ParsingError also when it does not say for sure where the body ends (RFC 9112, 6.1)."""
        super().parse_header(header_plus)
        # waitress takes this header away where it heeds it, which is not in HTTP/1.0.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding with HTTP/1.0 or Content-Length is not accepted")

    def close(self) -> None:
        """Forget the body."""
        # A file on a full disk cannot write what it still holds, and is closed all the same.
        with suppress(OSError):
            super().close()

    def _refusal(self) -> Refusal | None:
        if self.error is not None:
            refusal = refusal_of(self.error)
            if refusal.status == 431:
                # waitress takes `GET /` for the line that it has not read.
                self.command = self.path = "-"
            return refusal
        if not self.headers_finished or self.empty:
            return None
        if self.chunked and self._framing_bytes() > FRAMING_BYTES + len(self.body_rcv) // DATA_BYTES_PER_FRAMING_BYTE:
            return Refusal(400, "The chunks of the body are too small, or never end.")
        if self._asked:
            return None
        self._asked = True
        # As the application sees them. In the thread that serves all connections: this call must not wait.
        early: Refusal | None = self.adj.refuse(self.command.upper(), "/" + self.path.lstrip("/"), self.headers)
        return early

    def _framing_bytes(self) -> int:
        return int(self.body_bytes_received - len(self.body_rcv))

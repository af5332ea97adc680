"""The body of a request as the application reads it: from the connection, piece by piece."""

import io
import socket
from contextlib import suppress

import h11
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout, ServiceUnavailable

from api.server.pace import BLOCK_BYTES, BLOCK_SECONDS, Pace, take_turns
from api.server.receiving import Receiving

# A chunked body may have this many framing bytes, plus one for every 64 bytes of data: parsing chunks of a few
# bytes would occupy the thread that serves all connections.
FRAMING_BYTES = 4 * 1024
DATA_BYTES_PER_FRAMING_BYTE = 64
# All chunks in a block are parsed before their framing is counted.
CHUNKED_BLOCK_BYTES = 8 * 1024
# After so many bytes of one body, other connections have their turn.
TURN_BYTES = 256 * 1024

NO_ROOM = "The service is receiving too many bodies right now. Try again later."
NO_ROOM_RETRY_AFTER_SECONDS = 5
TOO_SLOW = f"The body arrives too slowly: the next 64 KiB did not come within {BLOCK_SECONDS:.0f} s."
CUT_OFF = "The connection was closed before the end of the body."
TINY_CHUNKS = "The body has too many small chunks, or a chunk header that is too long."


class RequestBody(io.RawIOBase):
    """WSGI's `wsgi.input`; nothing is received before the application reads.

    Raises, as its reads do:
        BadRequest: the chunks are malformed, or the client left in the middle.
        RequestTimeout: the client is too slow.
        ServiceUnavailable: all bodies together are too large.
    """

    def __init__(
        self, http: h11.Connection, connection: socket.socket, pace: Pace, receiving: Receiving, chunked: bool
    ) -> None:
        """Read the body of the request that `http` has just parsed."""
        super().__init__()
        self._http = http
        self._socket = connection
        self._pace = pace
        self._receiving = receiving
        self._block_bytes = CHUNKED_BLOCK_BYTES if chunked else BLOCK_BYTES
        self._turn_limit = CHUNKED_BLOCK_BYTES if chunked else TURN_BYTES
        self._received = len(http.trailing_data[0])
        self._data_bytes = self._turn_bytes = 0
        self._given_up = False
        self._piece = memoryview(b"")
        # A request without a body ends here.
        self._next_event(http.next_event())
        if not self.complete:
            receiving.begin(self)

    @property
    def complete(self) -> bool:
        """Whether all of the body has been received."""
        return self._http.their_state is not h11.SEND_BODY and self._http.their_state is not h11.ERROR

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the start of `buffer`; return the number of bytes, 0 at the end of the body."""
        while not self._piece and not self.complete:
            self._advance()
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def give_up(self) -> None:
        """Have the pending read, or the next one, raise ServiceUnavailable."""
        self._given_up = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def end(self) -> None:
        """Read no more; call it when the request is over."""
        self._receiving.end(self)

    def _advance(self) -> None:
        try:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._check_framing()
                self._receive()
            else:
                self._next_event(event)
        except (h11.RemoteProtocolError, OSError) as error:
            raise self._problem_of(error) from None

    def _problem_of(self, error: Exception) -> HTTPException:
        if self._given_up:
            return ServiceUnavailable(NO_ROOM, retry_after=NO_ROOM_RETRY_AFTER_SECONDS)
        if isinstance(error, TimeoutError):
            return RequestTimeout(TOO_SLOW)
        if isinstance(error, OSError):
            return BadRequest(CUT_OFF)
        return BadRequest(f"The body cannot be read: {error}.")

    def _next_event(self, event: object) -> None:
        if isinstance(event, h11.Data):
            self._piece = memoryview(event.data)
            self._data_bytes += len(event.data)
        if self.complete:
            self._receiving.end(self)

    def _check_framing(self) -> None:
        if self._received - self._data_bytes > FRAMING_BYTES + self._data_bytes // DATA_BYTES_PER_FRAMING_BYTE:
            raise BadRequest(TINY_CHUNKS)

    def _receive(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            self._pace.send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        data = self._pace.receive(self._block_bytes)
        self._http.receive_data(data)
        self._received += len(data)
        self._receiving.add(self, len(data))
        self._turn_bytes += len(data)
        if self._turn_bytes >= self._turn_limit:
            self._turn_bytes = 0
            take_turns()

"""The body of a request, read from the connection piece by piece while the application reads it."""

import io
import socket
from contextlib import suppress

import h11
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout, ServiceUnavailable

from api.server.pace import BLOCK_SECONDS, Pace
from api.server.receiving import Receiving

# A chunked body may have this many chunks, and as many more as its data would fill at this size: parsing many tiny
# chunks would occupy the thread that serves all connections.
MOST_CHUNKS = 1000
SMALL_CHUNK_BYTES = 512

NO_ROOM = "The service is receiving too many request bodies. Try again later."
NO_ROOM_RETRY_AFTER_SECONDS = 5
TOO_SLOW = f"The body arrives too slowly: the next 64 KiB did not arrive within {BLOCK_SECONDS:.0f} s."
CUT_OFF = "The connection was closed before the end of the body."
BAD_CHUNKS = "The chunks of the body are malformed, or the connection was closed before the last one."
TINY_CHUNKS = "The body has too many small chunks."


class RequestBody(io.RawIOBase):
    """WSGI's `wsgi.input`; nothing is received before the application reads.

    Raises, as its reads do:
        BadRequest: the chunks are malformed, or the client closed the connection.
        RequestTimeout: the client is too slow.
        ServiceUnavailable: the upload was aborted, because all bodies together exceed the limit.
    """

    def __init__(self, http: h11.Connection, connection: socket.socket, pace: Pace, receiving: Receiving) -> None:
        """Read the body of the request that `http` has just parsed."""
        super().__init__()
        self._http = http
        self._socket = connection
        self._pace = pace
        self._receiving = receiving
        self._chunks = self._data_bytes = 0
        self._aborted = False
        self._piece = memoryview(b"")
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

    def abort(self) -> None:
        """Have the pending read, or the next one, raise ServiceUnavailable."""
        self._aborted = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Stop counting the body: the application has stored or refused it, or the request is over."""
        self._receiving.end(self)
        super().close()

    def _advance(self) -> None:
        try:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._receive()
        except (h11.RemoteProtocolError, OSError) as error:
            raise self._problem_of(error) from None
        if isinstance(event, h11.Data):
            self._take(event)

    def _problem_of(self, error: Exception) -> HTTPException:
        if self._aborted:
            return ServiceUnavailable(NO_ROOM, retry_after=NO_ROOM_RETRY_AFTER_SECONDS)
        if isinstance(error, TimeoutError):
            return RequestTimeout(TOO_SLOW)
        if isinstance(error, OSError):
            return BadRequest(CUT_OFF)
        return BadRequest(BAD_CHUNKS)

    def _receive(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            self._pace.send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        data = self._pace.receive()
        self._http.receive_data(data)
        self._receiving.add(self, len(data))

    def _take(self, data: h11.Data) -> None:
        self._piece = memoryview(data.data)
        self._data_bytes += len(data.data)
        self._chunks += data.chunk_start
        if self._chunks > MOST_CHUNKS + self._data_bytes // SMALL_CHUNK_BYTES:
            raise BadRequest(TINY_CHUNKS)

"""A TCP proxy on the loopback address whose line can be made bad: slow, thin, chopped, cut, dead."""

import asyncio
import random
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

READ_BYTES = 64 * 1024
START_SECONDS = 10
# The line of a black hole is looked at this often.
BLACK_HOLE_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Fault:
    """What is wrong with the line; nothing by default.

    Latency is added to the answers, so that it is that of a round trip. In a black hole connections are accepted and
    nothing passes until it ends; then what was sent arrives late, as it does when TCP sends again.
    """

    latency_seconds: float = 0
    jitter_seconds: float = 0
    bytes_per_second: float = 0
    slice_bytes: int = 0
    reset_every_seconds: float = 0
    # The share of answers that do not come: the connection is reset in their place.
    cut_answers: float = 0
    black_hole: bool = False
    # Every connection is reset as soon as it is made.
    refuse: bool = False


HEALTHY = Fault()


class TcpProxy:
    """Forwards a free port to `target_port` while its `with` block runs.

    `fault` may be set at any time; `target_port` too, for connections that are made from then on.
    """

    def __init__(self, target_port: int, tls: ssl.SSLContext | None = None) -> None:
        """With `tls` it speaks TLS to its clients, and plainly to the target."""
        self.target_port = target_port
        self._tls = tls
        self.fault = HEALTHY
        self._connections: set[_Connection] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="tcp-proxy")

    def __enter__(self) -> "TcpProxy":
        self._thread.start()
        assert self._ready.wait(START_SECONDS), "the proxy did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def reset_all(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def _reset_all(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(server.sockets[0].getsockname()[1])
        resets = asyncio.create_task(self._reset_now_and_then())
        self._ready.set()
        await self._stop.wait()
        resets.cancel()
        # No new connections from here; what was just accepted still needs the server, or its socket is left open.
        self._loop.remove_reader(server.sockets[0].fileno())
        while asyncio.all_tasks() != {asyncio.current_task()}:
            self._reset_all()
            await asyncio.sleep(BLACK_HOLE_POLL_SECONDS)
        server.close()

    async def _reset_now_and_then(self) -> None:
        last = self._loop.time()
        while True:
            await asyncio.sleep(BLACK_HOLE_POLL_SECONDS)
            every = self.fault.reset_every_seconds
            if self.fault.refuse or (every and self._loop.time() - last >= every):
                self._reset_all()
                last = self._loop.time()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._connections.add(connection)
        try:
            await connection.run(self.target_port, reader)
        finally:
            self._connections.discard(connection)


class _Connection:
    """One client's connection and the one that was opened for it."""

    def __init__(self, proxy: TcpProxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._writers = {client}
        self._tasks: list[asyncio.Task[None]] = []

    def reset(self) -> None:
        for writer in self._writers:
            _set_reset(writer)
        for task in self._tasks:
            task.cancel()

    async def run(self, target_port: int, from_client: asyncio.StreamReader) -> None:
        if self._proxy.fault.refuse:
            _set_reset(self._client)
        else:
            await self._forward(target_port, from_client)
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _forward(self, target_port: int, from_client: asyncio.StreamReader) -> None:
        connecting = asyncio.create_task(asyncio.open_connection("127.0.0.1", target_port))
        with suppress(OSError, asyncio.CancelledError):
            await self._start(self._pump_both_ways(from_client, connecting))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Also after a reset in the middle of it: a connection that nobody knows would not be closed.
        with suppress(OSError):
            self._writers.add((await connecting)[1])

    async def _pump_both_ways(
        self,
        from_client: asyncio.StreamReader,
        connecting: "asyncio.Task[tuple[asyncio.StreamReader, asyncio.StreamWriter]]",
    ) -> None:
        from_server, server = await asyncio.shield(connecting)
        self._writers.add(server)
        sending = self._start(self._pump(from_client, server, answers=False))
        # The client may stop sending and still listen; when the server has ended, so has the connection.
        await self._start(self._pump(from_server, self._client, answers=True))
        sending.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        """Carry bytes; what waits for its time does not hold up what comes behind it."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        sending = self._start(self._send(line, writer))
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if answers and random.random() < self._proxy.fault.cut_answers:
                    self.reset()
                await line.put((self._due(answers), data))
        await line.put((0, b""))
        await sending

    def _due(self, answers: bool) -> float:
        fault = self._proxy.fault
        delay = fault.latency_seconds + random.uniform(-1, 1) * fault.jitter_seconds if answers else 0
        return asyncio.get_running_loop().time() + max(0, delay)

    async def _send(self, line: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        try:
            while await self._send_next(line, writer):
                pass
        except OSError:
            self.reset()

    async def _send_next(self, line: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> bool:
        """Send what is due next; False when that was the end."""
        due, data = await line.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        while self._proxy.fault.black_hole:
            await asyncio.sleep(BLACK_HOLE_POLL_SECONDS)
        if data:
            await self._send_slices(data, writer)
        elif writer.can_write_eof():
            writer.write_eof()
        return bool(data)

    async def _send_slices(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._proxy.fault
        size = fault.slice_bytes or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if fault.bytes_per_second:
                await asyncio.sleep(len(piece) / fault.bytes_per_second)
            writer.write(piece)
            await writer.drain()
            if fault.slice_bytes:
                # Lets the piece leave alone.
                await asyncio.sleep(0)


def _set_reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end with a reset instead of a farewell, now."""
    with suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

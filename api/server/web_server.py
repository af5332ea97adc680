"""The web server: serves an application until SIGTERM or SIGINT, then drains."""

import logging
import resource
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.server import create_server

from api.server.connection import Connection, is_idle
from api.services import Services
from shared.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# These numbers are based on the measurements in docs/decisions/0002-web-server.md.
MOST_CONNECTIONS = 2000
MOST_FILES = 8192
BACKLOG = 1024
MOST_HEADER_BYTES = 32 * 1024
# Larger bodies are kept in temporary files while they are received.
BODY_IN_MEMORY_BYTES = 1024 * 1024
# Total size of all bodies that are being received, in memory and in files.
MOST_RECEIVING_BYTES = 512 * 1024 * 1024
# Interval of the connection maintenance.
MAINTENANCE_SECONDS = 1
IDLE_SECONDS = 60
RECEIVE_SECONDS = 120
DRAIN_SECONDS = 15
# How long a drain waits for the rest of a partly received request, and for the first byte on an idle connection.
DRAIN_PARTIAL_SECONDS = 5
DRAIN_IDLE_SECONDS = 0.3
# How many pipelined requests each turn of the loop starts. The loop competes with the threads for the interpreter
# lock: with 25,000 pipelined requests in 98 threads it accepted no new connection for ten seconds.
PIPELINED_A_TURN = 4
PIPELINE_SECONDS = 0.05
# Threads for all other requests, in addition to those that wait for a job.
SPARE_THREADS = 32

log = logging.getLogger(__name__)


def most_requests(settings: Settings) -> int:
    """Return how many requests are processed at once, each in its own thread."""
    return settings.max_waiters + SPARE_THREADS


class WebServer:
    """waitress around an application: one thread for all connections, a pool of threads for requests."""

    def __init__(self, app: "WSGIApplication", services: Services) -> None:
        """Listen on the configured address; OSError if that fails."""
        settings = services.settings
        _allow_many_files()
        self._server: Any = create_server(
            app,
            sockets=[_listen(settings.host, settings.port)],
            threads=most_requests(settings),
            connection_limit=MOST_CONNECTIONS,
            asyncore_use_poll=True,
            # waitress refuses bodies of this size and above.
            max_request_body_size=services.upload_limits.max_body_bytes + 1,
            max_request_header_size=MOST_HEADER_BYTES,
            inbuf_overflow=BODY_IN_MEMORY_BYTES,
            backlog=BACKLOG,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=MAINTENANCE_SECONDS,
            ident=None,
            # The application decides which proxies it trusts.
            clear_untrusted_proxy_headers=False,
        )
        self._server.channel_class = Connection
        self._server.adj.refuse = services.early_rejection.refusal
        self._server.adj.headers = services.headers
        self._server.adj.access_log = services.access_log
        self._server.draining = False
        # Connections with received data after the request that was just processed.
        self._server.pipelined = deque()
        self._server.maintenance = self._maintain
        self._stopping = False

    def serve(self, on_stop: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, call `on_stop`, finish the open requests, and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            self._turn(1.0)
        self._server.draining = True
        on_stop()
        self._stop_listening()
        self._drain()
        self._server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._server._map)

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        self._server.pull_trigger()

    def _turn(self, seconds: float) -> None:
        pipelined = self._server.pipelined
        # A short timeout, so that one slow response does not delay other pipelines.
        seconds = PIPELINE_SECONDS if pipelined else seconds
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._server._map, count=1)
        begun = 0
        while pipelined and begun < PIPELINED_A_TURN:
            connection = pipelined.popleft()
            try:
                begun += connection.begin_next()
            except Exception:
                # As the loop does for errors in its own callbacks: log the error and close the connection.
                connection.handle_error()

    def _maintain(self, now: float) -> None:
        """Close connections that are idle (as waitress does), receive for too long, or exceed the total of bodies."""
        type(self._server).maintenance(self._server, now)
        oldest = time.monotonic() - RECEIVE_SECONDS
        receiving = sorted((c for c in self._connections() if c.receiving_since), key=lambda c: c.receiving_since or 0)
        surplus = sum(connection.receiving_bytes for connection in receiving) - MOST_RECEIVING_BYTES
        if surplus > 0:
            log.warning("The bodies that are being received are too many: the oldest are given up.")
        for connection in receiving:
            if surplus > 0 or (connection.receiving_since or oldest) < oldest:
                connection.will_close = True
                surplus -= connection.receiving_bytes

    def _connections(self) -> list[Connection]:
        return list(self._server.active_channels.values())

    def _stop_listening(self) -> None:
        # Accept the connections in the kernel's backlog: closing the socket would reset them.
        known = -1
        while known != len(self._server._map):
            known = len(self._server._map)
            self._server.handle_accept()
        # Not server.close(): it also closes the trigger that threads use to wake the loop.
        wasyncore.dispatcher.close(self._server)

    def _drain(self) -> None:
        began = time.monotonic()
        while self._connections() and (waited := time.monotonic() - began) < DRAIN_SECONDS:
            for connection in self._connections():
                idle = is_idle(connection) and waited > DRAIN_IDLE_SECONDS
                stuck = not connection.busy and not connection.lingering and waited > DRAIN_PARTIAL_SECONDS
                if idle or stuck:
                    connection.will_close = True
            self._turn(0.1)


def _listen(host: str, port: int) -> socket.socket:
    """Bind the address; waitress listens on it."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


def _allow_many_files() -> None:
    """Raise the soft limit of open files: usually 1024, which is below the connection limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""The web server: accepts connections until SIGTERM or SIGINT, then drains."""

import logging
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import gevent
from gevent import sleep
from gevent.event import Event
from gevent.pool import Pool

from api.middleware import Middleware
from api.server.connection import Connection, Site
from api.server.environ import base_environ
from api.server.receiving import Receiving
from api.server.turns import Turns
from api.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# These numbers are based on the measurements in docs/decisions/0018-web-server-for-thousands.md.
MOST_CONNECTIONS = 6000
BACKLOG = 1024
# Open files other than client connections: to Redis, an image store, logs.
OTHER_FILES = 160
# Total size of all bodies that are being received.
MOST_RECEIVING_BYTES = 256 * 1024 * 1024
DRAIN_SECONDS = 15.0
# How long a drain waits for the rest of a partly received request, and for the first byte on an idle connection.
DRAIN_PARTIAL_SECONDS = 5.0
DRAIN_IDLE_SECONDS = 0.3
DRAIN_STEP_SECONDS = 0.05
# How long to wait after accepting a connection has failed.
PAUSE_SECONDS = 0.1

log = logging.getLogger(__name__)


class WebServer:
    """Serves an application on one address, with a green thread for each connection."""

    def __init__(self, app: "WSGIApplication", services: Services) -> None:
        """Listen on the configured address; OSError if that fails."""
        settings = services.settings
        self._site = Site(
            app,
            partial(Middleware, headers=services.headers, traces=services.traces, access_log=services.access_log),
            services.metrics.refused,
            Receiving(MOST_RECEIVING_BYTES),
            Turns(),
            base_environ(settings.host, settings.port),
        )
        self._pool = Pool(_connections_that_fit())
        self._connections: set[Connection] = set()
        self._listener = _listen(settings.host, settings.port)
        self._stopping = Event()

    def serve(self, on_stop: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, call `on_stop`, finish the open requests, and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._stopping.set)
        accepting = gevent.spawn(self._accept)
        self._stopping.wait()
        accepting.kill()
        self._accept_backlog()
        self._listener.close()
        for connection in self._connections:
            connection.finish()
        on_stop()
        self._drain()

    def _accept(self) -> None:
        while True:
            self._pool.wait_available()
            try:
                self._accept_one()
            except OSError as error:
                log.warning("A connection cannot be accepted: %s", error)
                sleep(PAUSE_SECONDS)

    def _accept_backlog(self) -> None:
        """Accept the connections in the kernel's backlog: closing the socket would reset them."""
        self._listener.settimeout(0)
        with suppress(OSError):
            while self._pool.free_count():
                self._accept_one()

    def _accept_one(self) -> None:
        client, address = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client, address[0], self._site)
        self._connections.add(connection)
        self._pool.spawn(self._run, connection)

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            self._connections.discard(connection)

    def _drain(self) -> None:
        waited = 0.0
        while self._connections and waited < DRAIN_SECONDS:
            for connection in list(self._connections):
                idle = connection.idle and waited > DRAIN_IDLE_SECONDS
                if idle or (connection.receiving and waited > DRAIN_PARTIAL_SECONDS):
                    connection.abandon()
            sleep(DRAIN_STEP_SECONDS)
            waited += DRAIN_STEP_SECONDS


def _listen(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    return listener


def _connections_that_fit() -> int:
    """Return how many connections the limit of open files allows, after raising the soft limit as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    most = min(MOST_CONNECTIONS, max(soft, wanted) - OTHER_FILES)
    if most < MOST_CONNECTIONS:
        log.warning(
            "The limit of open files allows %d connections at once; the usual number is %d.", most, MOST_CONNECTIONS
        )
    return max(1, most)

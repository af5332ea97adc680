"""A receiver of webhooks that verifies them as a client would, and misbehaves on demand."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0" * 5


class WebhookReceiver:
    """Listens on the loopback. `status` is what it answers, 0 for nothing until it is closed."""

    def __init__(self, secret: str = SECRET, status: int = 204) -> None:
        self.status = status
        # How often each delivery arrived and was answered with success, and the newest message and headers of each.
        self.arrived: Counter[str] = Counter()
        self.messages: dict[str, dict[str, Any]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.seconds: dict[str, float] = {}
        self.attempts = 0
        self.flaws: list[str] = []
        self._webhook = Webhook(secret)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.receive(self)

            def log_message(self, *_: Any) -> None:
                """Tell nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """A sender that was killed leaves broken connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        status = self.status
        with self._lock:
            self.attempts += 1
        if not status:
            self._closed.wait(60)
            return
        try:
            message = self._webhook.verify(body, dict(handler.headers))
        except Exception as error:
            with self._lock:
                self.flaws.append(repr(error))
            status = 401
        else:
            if status < 300:
                self._note(dict(handler.headers), message)
        handler.send_response(status)
        handler.end_headers()

    def _note(self, headers: dict[str, str], message: dict[str, Any]) -> None:
        message_id = headers["webhook-id"]
        with self._lock:
            self.headers[message_id] = headers
            self.arrived[message_id] += 1
            self.messages[message_id] = message
            self.seconds.setdefault(message_id, time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

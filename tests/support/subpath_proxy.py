"""A reverse proxy on the loopback address that serves a service below a path, as nginx or Traefik would."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER_SECONDS = 90


@contextmanager
def subpath_proxy(target_port: int, prefix: str) -> Iterator[str]:
    """Remove `prefix` (`/cats`) from requests and send it as `X-Forwarded-Prefix`; yields the proxy's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != prefix and not self.path.startswith((f"{prefix}/", f"{prefix}?")):
                self.send_error(404)
                return
            forwarded = {"X-Forwarded-For": self.client_address[0], "X-Forwarded-Prefix": prefix}
            connection = http.client.HTTPConnection("127.0.0.1", target_port, timeout=ANSWER_SECONDS)
            path = self.path.removeprefix(prefix)
            path = path if path.startswith("/") else f"/{path}"
            connection.request(self.command, path, body, {**dict(self.headers), **forwarded})
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: object) -> None:
            """Do not log requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="subpath-proxy")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

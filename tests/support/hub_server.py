"""A model hub on this machine that serves SavedModels the way TF-Hub does, and misbehaves on demand."""

import io
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit


class HubServer:
    """Serves what was added, from 127.0.0.1 and a free port, while its `with` block runs."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._answers: dict[str, Callable[[_Handler], None]] = {}
        self._without_query: set[str] = set()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is, in the place of https://tfhub.dev."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def add_model(self, path: str, saved_model: Path) -> str:
        """Serve a SavedModel folder; return its handle. Whatever was served at `path` is replaced."""
        return self.add_bytes(path, archive(saved_model))

    def add_bytes(self, path: str, content: bytes) -> str:
        """Serve `content` as if it were an archive."""
        return self._add(path, lambda handler: handler.send_content(content, len(content)))

    def add_half(self, path: str, content: bytes) -> str:
        """Promise all of `content`, send half of it and hang up."""
        return self._add(path, lambda handler: handler.send_content(content[: len(content) // 2], len(content)))

    def add_stall(self, path: str, content: bytes) -> str:
        """Promise all of `content`, send half of it and then nothing more."""

        def answer(handler: "_Handler") -> None:
            handler.send_content(content[: len(content) // 2], len(content))
            self._closing.wait()

        return self._add(path, answer)

    def add_silence(self, path: str) -> str:
        """Take the request and never answer."""

        def answer(_handler: "_Handler") -> None:
            self._closing.wait()

        return self._add(path, answer)

    def add_redirect(self, path: str, url: str) -> str:
        """Send whoever asks for a model to another URL, as tfhub.dev does since the models are at Kaggle."""
        return self._add(path, lambda handler: handler.send_redirect(url))

    def add_download(self, path: str, saved_model: Path) -> str:
        """Serve a model as its new home does: without the query of TF-Hub."""
        self._without_query.add(path)
        return self.add_model(path, saved_model)

    def add_status(self, path: str, status: int) -> str:
        """Answer with an error."""
        return self._add(path, lambda handler: handler.send_error(status))

    def answer(self, handler: "_Handler") -> None:
        """Do what was asked for at the path; without the query of a download there are only web pages."""
        parts = urlsplit(handler.path)
        self.requests.append(parts.path)
        is_download = parse_qs(parts.query).get("tf-hub-format") == ["compressed"] or parts.path in self._without_query
        if parts.path in self._answers and is_download:
            self._answers[parts.path](handler)
        else:
            handler.send_error(404)

    def _add(self, path: str, answer: Callable[["_Handler"], None]) -> str:
        self._answers[path] = answer
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The name that the standard library calls."""
        try:
            self.server.hub.answer(self)  # type: ignore[attr-defined]
        except ConnectionError:
            self.close_connection = True  # the client hung up, as one may who only wanted to know who is there

    def send_content(self, content: bytes, promised_bytes: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/gzip")
        self.send_header("Content-Length", str(promised_bytes))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = True

    def send_redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def archive(folder: Path) -> bytes:
    """The folder's content as a tar.gz, paths relative to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return buffer.getvalue()

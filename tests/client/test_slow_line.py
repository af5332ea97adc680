"""Uploads over a slow line to a server that aborts slow uploads: the client sends fewer at a time, and all succeed."""

import json
import os
import socket
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import httpx
import pytest

from tests.client.batch_service import BatchService
from tests.client.conftest import RECORD
from tests.support.command_line import read_lines
from tests.support.wait import eventually, take_time
from topthree_client import Client, classify_command, command_line, uploads

PICTURES = 24
PICTURE_BYTES = 64 * 1024
# Models 24 pictures of 1 MB at 2.4 Mbit/s, about forty times as fast. The server aborts an upload after the time that
# about ten pictures take.
LINE_BYTES_PER_SECOND = 600_000
MOST_UPLOAD_SECONDS = 1.0
PIECE_BYTES = 4096


class Line:
    """The bandwidth shared by all connections."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._lock = Lock()
        self._free_at = 0.0

    def carry(self, size: int) -> None:
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._bytes_per_second
            wait_seconds = self._free_at - time.monotonic()
        take_time(wait_seconds)


class SlowServer(ThreadingHTTPServer):
    """Answers uploads that arrive in time like the service; aborts others, with a 408 if `answer_late` is set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, line: Line, *, answer_late: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.line = line
        self.answer_late = answer_late
        self.cut = 0
        self.service = BatchService()
        self.keys: list[str] = []

    @property
    def arrived(self) -> int:
        """The number of pictures that have arrived."""
        return len(self.keys) + self.service.sent.total()

    def handle_error(self, *_: object) -> None:
        """Do not log clients that have disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowServer

    def do_GET(self) -> None:
        if self.path.startswith("/batches"):
            self._forward(b"")
            return
        status = {"workers": [], "jobs": {"open": 0, "running": 0, "failed": 0}}
        self._answer(200, status if self.path.startswith("/health/") else RECORD)

    def do_POST(self) -> None:
        started = time.monotonic()
        left = int(self.headers["Content-Length"])
        body = b""
        while left > 0:
            size = min(PIECE_BYTES, left)
            self.server.line.carry(size)
            body += self.rfile.read(size)
            left -= size
            if time.monotonic() - started > MOST_UPLOAD_SECONDS:
                self._cut()
                return
        if self.path.startswith("/batches"):
            self._forward(body)
            return
        self.server.keys.append(self.headers["Idempotency-Key"])
        self._answer(202, {"id": "a" * 32, "status": "queued", "position": 1})

    def do_PATCH(self) -> None:
        self._forward(self.rfile.read(int(self.headers["Content-Length"])))

    def _forward(self, body: bytes) -> None:
        """Answer like a service that has batches."""
        request = httpx.Request(self.command, f"http://service{self.path}", headers=dict(self.headers), content=body)
        answer = self.server.service(request)
        self._send(answer.status_code, answer.headers["Content-Type"], answer.content)

    def _cut(self) -> None:
        self.server.cut += 1
        self.close_connection = True
        if self.server.answer_late:
            self._answer(408, {"status": 408, "detail": "The picture arrived too slowly."})
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, body: object) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


@pytest.fixture(params=[False, True], ids=["cut", "408"])
def server(request: pytest.FixtureRequest) -> Iterator[SlowServer]:
    with SlowServer(Line(LINE_BYTES_PER_SECOND), answer_late=request.param) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "QUICK_SECONDS", 0.1)
    monkeypatch.setattr(uploads, "SLOW_SECONDS", 0.4)
    # A picture here has a sixteenth of its real size.
    for name in ("FIRST_BYTES", "LEAST_BYTES", "MOST_BYTES"):
        monkeypatch.setattr(uploads, name, getattr(uploads, name) // 16)


@pytest.fixture(params=[20, 1000], ids=["batch", "single"])
def _with_and_without_a_batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify_command, "MOST_SINGLE", request.param)


@pytest.mark.usefixtures("short_limits", "_with_and_without_a_batch")
def test_all_uploads_succeed_over_a_slow_line(
    monkeypatch: pytest.MonkeyPatch, server: SlowServer, tmp_path: Path
) -> None:
    # Given a line on which sixteen concurrent uploads would all take too long, and a client with a short retry time
    for number in range(PICTURES):
        (tmp_path / f"{number}.png").write_bytes(os.urandom(PICTURE_BYTES))
    monkeypatch.setattr(command_line, "Client", partial(Client, patience_seconds=6))
    url = f"http://127.0.0.1:{server.server_port}"
    # When the pictures are classified
    out = tmp_path / "out.jsonl"
    assert command_line.main(["classify", str(tmp_path), "--out", str(out), "--url", url]) == 0
    # Then each has its labels, and few uploads were aborted
    assert len(read_lines(out)) == PICTURES
    assert server.arrived == PICTURES and len(server.keys) == len(set(server.keys))
    assert server.cut <= 4


@pytest.mark.usefixtures("short_limits", "_with_and_without_a_batch")
def test_fewer_uploads_run_once_the_line_becomes_slow(
    monkeypatch: pytest.MonkeyPatch, server: SlowServer, tmp_path: Path
) -> None:
    # Given a quick line, and many small pictures (so that the limit grows) followed by large ones
    sizes = [10] * PICTURES * 4 + [PICTURE_BYTES] * PICTURES
    for number, size in enumerate(sizes):
        (tmp_path / f"{number:03}.png").write_bytes(os.urandom(size))
    server.line = Line(1e9)
    monkeypatch.setattr(command_line, "Client", partial(Client, patience_seconds=20))

    def slow_down() -> None:
        eventually(lambda: server.arrived > PICTURES, 15, "the first uploads")
        server.line = Line(LINE_BYTES_PER_SECOND)

    Thread(target=slow_down, daemon=True).start()
    # When the line becomes slow during the run
    url = f"http://127.0.0.1:{server.server_port}"
    assert command_line.main(["classify", str(tmp_path), "--format", "jsonl", "--url", url]) == 0
    # Then all uploads succeed, and few are aborted besides those that were running
    assert server.arrived == len(sizes) and len(server.keys) == len(set(server.keys))
    assert server.cut < 40

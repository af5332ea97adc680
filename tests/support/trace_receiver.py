"""An OTLP receiver: takes the spans that processes send over HTTP, and finds them by trace."""

import gzip
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class ReceivedSpan:
    """A span; ids are in hexadecimal, "" for no parent, and times in seconds since the epoch."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    attributes: Mapping[str, Any]
    failure: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class TraceReceiver:
    """Listens on the loopback. `settings` are the variables that make a process send its spans here soon."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        # The addresses of the other ends, one for each connection.
        self.connections: set[tuple[str, int]] = set()
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.receive(self)

            def log_message(self, *_: Any) -> None:
                """Tell nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        with self._lock:
            self.connections.add(handler.client_address)
            if handler.path == "/v1/traces":
                self.headers.append({name.lower(): value for name, value in handler.headers.items()})
                self._spans += parse(body)
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All spans that have arrived, in the order of their beginning."""
        with self._lock:
            return sorted(self._spans, key=lambda span: span.began)

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def trace_of_job(self, job_id: str) -> list[ReceivedSpan]:
        """Return the trace that has an attempt of this job, [] if none has arrived."""
        for span in self.spans:
            if span.attributes.get("topthree.job_id") == job_id:
                return self.trace(span.trace_id)
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def parse(body: bytes) -> list[ReceivedSpan]:
    """Return the spans of a request's body."""
    found = []
    for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(_values(of_process.resource.attributes).get("service.name", ""))
        for scope in of_process.scope_spans:
            found += [_span(service, span) for span in scope.spans]
    return found


def _span(service: str, span: Any) -> ReceivedSpan:
    failed = span.status.code == Status.STATUS_CODE_ERROR
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        began=span.start_time_unix_nano / 1e9,
        ended=span.end_time_unix_nano / 1e9,
        attributes=_values(span.attributes),
        failure=span.status.message if failed else None,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}

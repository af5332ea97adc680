"""Records spans with OpenTelemetry's SDK and sends them over OTLP (protobuf over HTTP).

Only `shared.tracing` imports this module, and only if traces are on.
"""

import os
import threading
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

# Unused here, but the exporter would import it with the first span, which takes longer than a job.
import requests  # noqa: F401
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_ENDPOINT
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing import NO_SPAN, Attributes, Inside, Kind, Span, current_traceparent

HEADER = "traceparent"
# How long a process that ends waits for a collector that does not answer.
CLOSE_SECONDS = 3.0
NANOSECONDS = 1_000_000
KINDS = {"internal": SpanKind.INTERNAL, "consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT}


class OpenTelemetrySpan(Inside):
    """A span of the SDK, which ends with its `with` block."""

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        super().__init__(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
        self._span = span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        super().__exit__(kind, error, _)
        if error is not None:
            self.fail(f"{type(error).__name__}: {error}")
        self._span.end()

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def describe(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, reason))


class OpenTelemetry:
    """Records the spans of one process; the SDK reads sampler, headers and all other options from OTEL_… variables.

    The SDK's thread is started with the first span of a process: threads do not survive a fork, and a thread that holds
    a lock during one would leave it locked in the child.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        # The SDK knows this variable only without the prefix of our settings.
        os.environ[OTEL_EXPORTER_OTLP_ENDPOINT] = endpoint
        self._service = service
        self._propagator = TraceContextTextMapPropagator()
        self._after_fork()
        # Fail here for a value that the SDK does not take, and not at every span.
        self._make_provider().shutdown()
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._provider: TracerProvider | None = None
        self._started: trace.Tracer | None = None

    @property
    def _tracer(self) -> trace.Tracer:
        return self._started or self._start()

    def _start(self) -> trace.Tracer:
        with self._lock:
            if self._started is None:
                self._provider = self._make_provider()
                self._started = self._provider.get_tracer("topthree")
            return self._started

    def _make_provider(self) -> TracerProvider:
        named = {SERVICE_NAME: self._service, **OTELResourceDetector().detect().attributes}
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return provider

    def request(self, traceparent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        parent = self._context(traceparent) if traceparent else Context()
        return OpenTelemetrySpan(self._tracer.start_span("request", parent, SpanKind.SERVER, attributes))

    def span(
        self, name: str, parent: str, *, kind: Kind = "internal", began_ms: int = 0
    ) -> AbstractContextManager[Span]:
        if not parent:
            return nullcontext(NO_SPAN)
        began = began_ms * NANOSECONDS or None
        return OpenTelemetrySpan(self._tracer.start_span(name, self._context(parent), KINDS[kind], start_time=began))

    def step(self, name: str) -> AbstractContextManager[Span]:
        return self.span(name, current_traceparent())

    def past(
        self,
        name: str,
        parent: str,
        began_ms: float,
        ended_ms: float,
        *,
        failure: str = "",
        attributes: Attributes | None = None,
    ) -> None:
        if not parent:
            return
        began, ended = int(began_ms * NANOSECONDS), int(ended_ms * NANOSECONDS)
        span = self._tracer.start_span(name, self._context(parent), attributes=attributes, start_time=began)
        if failure:
            span.set_status(Status(StatusCode.ERROR, failure))
        # The clocks of two hosts may differ.
        span.end(max(began, ended))

    def close(self) -> None:
        if self._provider is None:
            return
        # In a thread, because the SDK waits for up to half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _context(self, traceparent: str) -> Context:
        return self._propagator.extract({HEADER: traceparent}, Context())

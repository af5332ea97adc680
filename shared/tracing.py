"""Traces of uploads: the interface, and the implementation that records nothing."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol, Self

from shared.settings import Settings, SettingsError

Attributes = Mapping[str, str | int]
Kind = Literal["internal", "consumer", "client"]

_current: ContextVar[str] = ContextVar("traceparent", default="")


class Span(Protocol):
    """A step of a trace. `traceparent` names it to its children, as W3C Trace Context describes; "" for none."""

    @property
    def traceparent(self) -> str: ...

    def rename(self, name: str) -> None:
        """Replace the name, for a span whose name is not known when it begins."""

    def describe(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, reason: str) -> None:
        """Mark the step as failed."""


class Tracing(Protocol):
    """Records spans. A parent is the `traceparent` of a span; a span whose parent is "" is not recorded."""

    def request(self, traceparent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """Record the block as a request: a child of the client's `traceparent` or, if that is invalid, a new trace."""

    def span(
        self, name: str, parent: str, *, kind: Kind = "internal", began_ms: int = 0
    ) -> AbstractContextManager[Span]:
        """Record the block as a step, which began now or at `began_ms` (since the epoch)."""

    def step(self, name: str) -> AbstractContextManager[Span]:
        """Record the block as a child of the span that this thread is in, if it is in one."""

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
        """Record a step that has ended; times are milliseconds since the epoch. `failure` says why it failed."""

    def close(self) -> None:
        """Send what has been recorded; takes a few seconds at most."""


class NoSpan:
    """Records nothing. Its `traceparent` is that of its parent, so that a trace passes through."""

    def __init__(self, traceparent: str = "") -> None:
        self.traceparent = traceparent

    def rename(self, name: str) -> None:
        pass

    def describe(self, attributes: Attributes) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


class NoTracing:
    """Records nothing."""

    def request(self, traceparent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        return nullcontext(NO_SPAN)

    def span(
        self, name: str, parent: str, *, kind: Kind = "internal", began_ms: int = 0
    ) -> AbstractContextManager[Span]:
        return nullcontext(NoSpan(parent))

    def step(self, name: str) -> AbstractContextManager[Span]:
        return nullcontext(NO_SPAN)

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
        pass

    def close(self) -> None:
        pass


NO_SPAN = NoSpan()
NO_TRACING = NoTracing()


def current_traceparent() -> str:
    """Return the `traceparent` of the span that this thread is in, "" if it is in none."""
    return _current.get()


class Inside:
    """In a `with` block, the thread is in the span with this `traceparent`."""

    # A class, because a generator would take three times as long, several times for each upload.
    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> Self:
        self._token = _current.set(self.traceparent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _current.reset(self._token)


def open_tracing(settings: Settings, service: str) -> Tracing:
    """Return what records spans of this process, which has the name `service` unless OTEL_SERVICE_NAME is set.

    Without OTEL_EXPORTER_OTLP_ENDPOINT it records nothing, and OpenTelemetry is not imported. Nothing is sent, and no
    thread is started, before the first span. Raises SettingsError: OpenTelemetry is not installed, or one of its
    variables has a value that it does not take.
    """
    if not settings.otel_exporter_otlp_endpoint:
        return NO_TRACING
    try:
        from shared.open_telemetry import OpenTelemetry

        return OpenTelemetry(settings.otel_exporter_otlp_endpoint, service)
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed ({error}): "
            "install requirements/traces.txt."
        ) from None
    except Exception as error:
        # OpenTelemetry reads its variables when it is imported, and when its parts are made.
        raise SettingsError(f"OpenTelemetry does not take one of the OTEL_… variables: {error}") from None

"""Traces cost nothing while they are off, and a process that cannot record them says so at its start."""

import os
import subprocess
import sys

import pytest

from shared.settings import Settings, SettingsError
from shared.tracing import NO_TRACING, Inside, current_traceparent, open_tracing
from tests.support.repository import ROOT
from tests.support.trace_receiver import TraceReceiver
from tests.support.wait import eventually

PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
PROGRAM = """
import sys
from shared.settings import Settings
from shared.tracing import open_tracing
import api.app, worker.app, worker.webhooks.sender
open_tracing(Settings.from_environ({}), "topthree")
# redis-py imports the SDK's metrics where it is installed, whether they are used or not.
ours = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "shared.open_telemetry")
print([name for name in sys.modules if name.startswith(ours)])
"""

FORKING = """
import os, sys
from shared.settings import Settings
from shared.tracing import open_tracing
tracing = open_tracing(Settings.from_environ(os.environ), "topthree")
def record(name):
    with tracing.request("", {}) as span:
        span.rename(name)
record("before")
sys.stdin.readline()
child = os.fork()
record("after" if child else "child")
tracing.close()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def on(receiver: TraceReceiver) -> Settings:
    return Settings.from_environ(receiver.settings)


def test_nothing_is_imported_while_traces_are_off() -> None:
    command = [sys.executable, "-c", PROGRAM]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_trace_passes_through_a_process_that_records_nothing() -> None:
    with NO_TRACING.span("webhook", PARENT) as span:
        assert span.traceparent == PARENT
    with NO_TRACING.request(PARENT, {}) as span:
        assert span.traceparent == ""


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an environment without OpenTelemetry
    monkeypatch.delitem(sys.modules, "shared.open_telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    settings = Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
    # When traces are turned on, Then the error says what to install
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set, but .* requirements/traces\.txt"):
        open_tracing(settings, "topthree")


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost:4317", "http://me:secret@localhost:4318"])
def test_an_endpoint_is_an_http_address_without_a_password(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT: .* a valid one is http://localhost:4318"):
        Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})


def test_a_thread_is_in_one_span_at_a_time() -> None:
    with Inside(PARENT):
        with Inside("inner"):
            assert current_traceparent() == "inner"
        assert current_traceparent() == PARENT
    assert current_traceparent() == ""


@pytest.mark.parametrize("broken", ["", "nonsense", "00-" + "0" * 32 + "-" + "cd" * 8 + "-01", PARENT + "-more"])
def test_a_request_with_a_broken_traceparent_begins_a_trace(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with TraceReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        tracing = open_tracing(on(receiver), "topthree")
        # When a request comes with it, and a step fails within
        with pytest.raises(ValueError, match="no"), tracing.request(broken, {}), tracing.step("step"):
            raise ValueError("no")
        tracing.close()
        # Then both are one new trace, and have failed
        request, step = eventually(lambda: receiver.spans if len(receiver.spans) == 2 else [], 30, "two spans")
        assert (request.parent_id, step.parent_id) == ("", request.span_id)
        assert (request.trace_id, step.failure) == (step.trace_id, "ValueError: no")
        assert request.trace_id not in PARENT


def test_steps_without_a_parent_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with TraceReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        tracing = open_tracing(on(receiver), "topthree")
        # Given a job that was accepted while traces were off
        with tracing.span("attempt", ""), tracing.step("decode"):
            tracing.past("queue", "", 0, 1)
        # When a step of another one is over before it began, by the clock of another host
        tracing.past("queue", PARENT, 2000, 1000)
        tracing.close()
        # Then only that is recorded, and takes no time
        [span] = eventually(lambda: receiver.spans, 30, "a span")
        assert (span.name, span.trace_id, span.began, span.seconds) == ("queue", "ab" * 16, 2.0, 0.0)


def test_a_child_sends_its_own_spans_over_its_own_connection() -> None:
    with TraceReceiver() as receiver:
        # Given a process that has sent a span, and keeps its connection
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
        environ = {**os.environ, **receiver.settings}
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE) as process:
            eventually(lambda: receiver.spans, 60, "a span")
            # When it forks, and both record a span and end
            process.communicate(b"\n", timeout=60)
        assert process.returncode == 0
        # Then each span has arrived once, and the two have not shared a connection
        assert sorted(span.name for span in receiver.spans) == ["after", "before", "child"]
        assert len(receiver.connections) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "abc"),
    ],
)
def test_a_value_that_opentelemetry_does_not_take_is_told_at_the_start(name: str, value: str) -> None:
    # In a process of its own: OpenTelemetry reads some variables when it is imported
    program = "import os, sys; from shared.tracing import *; open_tracing(Settings.from_environ(os.environ), 'x')"
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SettingsError: OpenTelemetry does not take one of the OTEL_… variables: " in done.stderr

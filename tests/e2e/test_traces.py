"""Traces of uploads at a real OTLP receiver, from real processes."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.local.embedded_redis import free_port
from tests.support.processes import Process, RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, make_picture
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver

TRACE_ID, CLIENTS_SPAN = "ab" * 16, "cd" * 8
TRACED = {"traceparent": f"00-{TRACE_ID}-{CLIENTS_SPAN}-01"}
WEBHOOKS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}
OF_AN_ATTEMPT = {"claim", "decode", "model", "end"}


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with TraceReceiver() as receiver:
        yield receiver


class TracedService(Service):
    """A service with the stand-in for a model that sends its spans to the receiver."""

    def __init__(self, redis_url: str, folder: Path, receiver: TraceReceiver, **settings: str) -> None:
        self._receiver = receiver
        self._executions = folder / "executions"
        own = {
            **receiver.settings,
            **WEBHOOKS,
            "LOG_FORMAT": "json",
            "ACCESS_LOG": "1",
            EXECUTIONS: str(self._executions),
        }
        super().__init__(redis_url, folder / "service", folder, **{**own, **settings})
        self.sender: Process | None = None

    def start(self) -> None:
        self.start_api()
        self.start_worker("tests.support.stub_worker")
        self.wait_ready()

    def start_sender(self) -> None:
        command = [sys.executable, "-m", "worker.webhooks"]
        self.sender = Process(command, self._folder / "webhooks.log", **self._environ)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=90, **options)

    def trace(self, job_id: str, *names: str) -> list[ReceivedSpan]:
        """Return the trace of a job once it has spans with these names."""

        def complete() -> list[ReceivedSpan]:
            found = self._receiver.trace_of_job(job_id)
            return found if {*names} <= {span.name for span in found} else []

        try:
            return eventually(complete, 60, f"a trace of {job_id} with {names}")
        except AssertionError as error:
            error.add_note("\n".join(map(str, self._receiver.spans)))
            raise

    def child_of_attempt(self, number: int) -> int:
        """Return the id of the child that runs this attempt of the only picture."""

        def begun() -> list[str]:
            lines = self._executions.read_text("utf-8").splitlines() if self._executions.exists() else []
            return lines if len(lines) == number else []

        return int(eventually(begun, 60, f"attempt {number}")[-1].split()[1])

    def drain(self) -> None:
        """End all processes as an operator would."""
        for process in [*self.workers, *filter(None, [self.api, self.sender])]:
            assert process.stop() == 0, process.output

    def stop(self) -> None:
        super().stop()
        if self.sender:
            self.sender.kill()


@pytest.fixture
def service(server: RedisServer, tmp_path: Path, receiver: TraceReceiver) -> Iterator[TracedService]:
    service = TracedService(server.url, tmp_path, receiver, WORKERS="1")
    yield service
    service.stop()


def job_of(answer: requests.Response) -> str:
    return answer.headers["Location"].rsplit("/", 1)[1]


def named(trace: list[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    return [span for span in trace if span.name == name]


def logged(process: Process) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]


def test_an_upload_is_one_trace_from_the_request_to_the_webhook(service: TracedService) -> None:
    # Given a client that traces, a picture that takes the model 0.3 s, and a receiver of webhooks
    service.start()
    service.start_sender()
    with WebhookReceiver() as hook:
        # When it uploads
        answer = service.post("/upload", data=make_picture("sleep=0.3"), params={"webhook": hook.url}, headers=TRACED)
        job_id = job_of(answer)
        trace = service.trace(job_id, "webhook", "end", "POST /upload")
        # Then every step is in the client's trace, once
        assert {span.trace_id for span in trace} == {TRACE_ID}
        assert sorted(span.name for span in trace) == sorted(
            [*OF_AN_ATTEMPT, "POST /upload", "attempt", "queue", "webhook"]
        )
        [request], [attempt] = named(trace, "POST /upload"), named(trace, "attempt")
        # And below the right one
        assert request.parent_id == CLIENTS_SPAN
        for span in trace:
            if span is not request:
                assert span.parent_id == (attempt if span.name in OF_AN_ATTEMPT else request).span_id, span
        # And with the name of its process
        services = {span.name: span.service for span in trace}
        assert (services["POST /upload"], services["attempt"]) == ("topthree-api", "topthree-worker")
        assert services["webhook"] == "topthree-webhooks"
        # And the webhook's request continues the trace
        [webhook] = named(trace, "webhook")
        assert hook.headers[f"msg_{job_id}"]["traceparent"] == f"00-{TRACE_ID}-{webhook.span_id}-01"
    # And the durations are those of the steps; Redis' clock has milliseconds
    [queue], [model] = named(trace, "queue"), named(trace, "model")
    assert 0.3 <= model.seconds <= attempt.seconds <= request.seconds <= answer.elapsed.total_seconds() + 1
    assert queue.began >= request.began - 0.002 and queue.ended == pytest.approx(attempt.began, abs=0.002)
    for span in trace:
        assert span.seconds >= 0 and span.failure is None
        if span.name in OF_AN_ATTEMPT:
            assert attempt.began - 0.002 <= span.began and span.ended <= attempt.ended, span
    # And the log line of the request has the id of the trace
    assert service.api
    [line] = [line for line in logged(service.api) if line.get("path") == "/upload"]
    assert line["trace_id"] == TRACE_ID


def test_a_second_attempt_is_another_span_of_the_trace(service: TracedService, tmp_path: Path) -> None:
    # Given a picture that waits for a file
    service.start()
    flag = tmp_path / "go on"
    job_id = service.accept(make_picture(f"until={flag}"))
    # When the child that runs it is killed, twice, and the third attempt succeeds
    for attempt in (1, 2):
        os.kill(service.child_of_attempt(attempt), signal.SIGKILL)
    service.child_of_attempt(3)
    flag.touch()
    assert service.finished(job_id, 90)["status"] == "succeeded"
    trace = service.trace(job_id, "end", "lost attempt")
    # Then the trace has all attempts: the worker's main process has told of those that were lost
    [request], [attempt] = named(trace, "POST /upload"), named(trace, "attempt")
    lost = named(trace, "lost attempt")
    assert [span.parent_id for span in [attempt, *lost]] == [request.span_id] * 3
    assert attempt.attributes["topthree.attempt"] == 3
    assert all(span.failure and "worker process was lost" in span.failure for span in lost)
    # And they do not overlap
    first, second = lost
    assert first.ended <= second.began + 0.002 and second.ended <= attempt.began + 0.002


def test_the_sdks_variables_hold_and_the_last_spans_are_sent_at_the_end(
    server: RedisServer, tmp_path: Path, receiver: TraceReceiver
) -> None:
    # Given settings that sample only what clients sample, and send nothing for a minute
    settings = {
        "OTEL_SERVICE_NAME": "cats",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=felines",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
    }
    service = TracedService(server.url, tmp_path, receiver, **settings)
    try:
        service.start()
        # When a client uploads, and adds a picture to a batch in a trace of its own
        assert service.upload(make_picture()).status_code == 200
        batch = service.post("/batches", json={}).headers["Location"]
        files = [("image", ("a.png", make_picture()))]
        added = service.post(f"{batch}/images", files=files, headers=TRACED)
        job_id = added.json()["images"][0]["id"]
        assert service.finished(job_id)["status"] == "succeeded"
        assert receiver.spans == []
        # And the processes are told to stop
        service.drain()
        # Then the picture belongs to the trace of its request, and nothing else was sampled
        trace = service.trace(job_id, "attempt", "POST /batches/<batch_id>/images")
        assert trace == receiver.spans
        assert {span.name for span in trace} > {"queue", *OF_AN_ATTEMPT}
        assert {span.service for span in trace} == {"cats"}
        assert {headers["x-team"] for headers in receiver.headers} == {"felines"}
    finally:
        service.stop()


def test_a_collector_that_is_not_there_disturbs_nothing(
    server: RedisServer, tmp_path: Path, receiver: TraceReceiver
) -> None:
    # Given an address where nothing listens
    service = TracedService(
        server.url, tmp_path, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}"
    )
    try:
        service.start()
        # When pictures are uploaded, Then they are classified
        for _ in range(3):
            assert service.upload(make_picture()).status_code == 200
        # And the log says what is wrong, and the processes stop
        assert service.api
        eventually(lambda: "Transient error" in service.api.output, 60, "a line about the collector")
        service.drain()
    finally:
        service.stop()

"""Metrics of a worker: every child counts for itself, the parent serves the sum."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shared.jobs.events import JobEvents
from shared.jobs.models import Job, JobState
from shared.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Floats = NDArray[np.float32]

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
BATCH_PICTURES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class MetricsPortTaken(Exception):
    """The metrics cannot be served; the message says where."""


class WorkerMetrics(JobEvents):
    """Metrics of one worker; created before the fork, updated in every child."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # prometheus_client chooses its storage at import: import it after `open_metrics` has set the folder.
        from prometheus_client import Counter, Histogram

        from shared.metrics import finished_counter

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, meaning, buckets=buckets, registry=registry)

        self._attempts = Counter(
            "topthree_job_attempts", "Attempts started, including repeated ones.", registry=registry
        )
        self._requeued = Counter(
            "topthree_job_redeliveries",
            "Requeued jobs. `lost`: the attempt counts, because the process or worker was lost or the image store did "
            "not return the picture. `overtaken`: the message was lost, or the job waited for an unavailable store.",
            ["reason"],
            registry=registry,
        )
        for reason in ("lost", "overtaken"):
            self._requeued.labels(reason)
        self._foreign = Counter(
            "topthree_foreign_messages",
            "Messages of other programs found in the queue and moved to the list `jobs:foreign`.",
            registry=registry,
        )
        self._finished = finished_counter(registry)
        self._queue = histogram("topthree_queue_seconds", "Time from acceptance to the first start.", JOB_SECONDS)
        self._decode = histogram("topthree_decode_seconds", "Time to decode one picture.", STAGE_SECONDS)
        self._inference = histogram("topthree_inference_seconds", "Time of one run of the model.", STAGE_SECONDS)
        self._batch = histogram(
            "topthree_batch_pictures", "Pictures per run of the model; always 1 with LiteRT.", BATCH_PICTURES
        )
        self._whole = histogram(
            "topthree_job_seconds", "Time from acceptance to the end, for jobs run by this worker.", JOB_SECONDS
        )

    def begun(self, job: Job) -> None:
        """Count an attempt; for a first attempt, record how long the job has waited."""
        self._attempts.inc()
        if job.attempts == 1:
            self._queue.observe(max(0, job.begun_ms - job.accepted_ms) / 1000)

    def done(self, job: Job, seconds: float) -> None:
        """Record the total time of a job that ran for `seconds`; its waiting time is measured on Redis' clock."""
        self._whole.observe(max(0, job.begun_ms - job.accepted_ms) / 1000 + seconds)

    def ended(self, state: JobState) -> None:
        """Count a job that this process has ended."""
        self._finished.labels(state).inc()

    def requeued(self, reason: str, count: int) -> None:
        """Count jobs that were requeued (`lost`) or whose message was published again (`overtaken`)."""
        self._requeued.labels(reason).inc(count)

    def foreign(self) -> None:
        """Count a message of another program."""
        self._foreign.inc()

    @contextmanager
    def decode_timing(self) -> Iterator[None]:
        """Time the decoding of one picture, whether or not it succeeds."""
        with self._decode.time():
            yield

    def timed(self, run: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
        """Return `run`, a model that maps pictures [n, …] to logits [n, …], with time and n recorded."""

        def timed_run(pictures: Floats) -> Floats:
            began = time.perf_counter()
            logits = run(pictures)
            self._inference.observe(time.perf_counter() - began)
            self._batch.observe(len(pictures))
            return logits

        return timed_run


@contextmanager
def open_metrics(settings: Settings) -> Iterator[WorkerMetrics]:
    """Yield the metrics of this worker and, if METRICS_PORT is set, serve their sum there.

    Every process writes its own sparse file (64 KiB) in a folder that is deleted when the worker ends. The file of a
    dead child is kept, because its counts still belong to the sum. MetricsPortTaken: the port is in use.
    """
    if settings.metrics_port is None:
        from prometheus_client import CollectorRegistry

        yield WorkerMetrics(CollectorRegistry())
        return
    folder = tempfile.mkdtemp(prefix="topthree-metrics-")
    os.environ[DIRECTORY_VARIABLE] = folder
    try:
        _serve(settings.host, settings.metrics_port, folder)
        from prometheus_client import CollectorRegistry

        yield WorkerMetrics(CollectorRegistry())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(host: str, port: int, folder: str) -> None:
    """Serve the sum of the files in a thread.

    The thread has its own registry, only reads files, and uses neither Redis nor logging: a lock that it holds during a
    fork would stay locked in the child.
    """
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise MetricsPortTaken(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    # Otherwise a child that outlives its parent would keep the port in use for the next worker.
    os.register_at_fork(after_in_child=server.socket.close)

"""Metrics of an API process, and of the queue, which is read whenever the metrics are collected."""

import time
from collections import Counter as Tally
from collections.abc import Iterator

import redis
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.batches.store import Batches
from shared.jobs.admission import Admission
from shared.jobs.backlog import BacklogReader
from shared.jobs.deliveries import Deliveries
from shared.jobs.events import JobEvents
from shared.jobs.models import JobState
from shared.metrics import finished_counter
from shared.worker_registry import WorkerRegistry

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ApiMetrics(JobEvents):
    """Metrics of one API process, kept in memory and registered in `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        route = ["method", "route"]
        self._requests = Counter(
            "topthree_requests",
            "Answered requests. Unknown methods and paths, and requests that the web server refuses, have `other`.",
            [*route, "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "topthree_request_seconds",
            "Time to answer a request, including the wait for a result.",
            route,
            buckets=SECONDS,
            registry=self.registry,
        )
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._accepted = Counter(
            "topthree_jobs_accepted",
            "Accepted jobs. A retry that joined an earlier job is not counted.",
            registry=self.registry,
        )
        self._hits = Counter("topthree_cache_hits", "Accepted jobs whose result was cached.", registry=self.registry)
        self._finished = finished_counter(self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the URL rule, because the number of paths is unbounded."""
        key = (method, route, status)
        # Cache the two series: looking them up by labels takes half of the time of counting.
        series = self._series.get(key)
        if series is None:
            series = self._requests.labels(*key), self._seconds.labels(method, route)
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that the web server refused before it called the application."""
        self._requests.labels("other", "other", status).inc()

    def accepted(self, admission: Admission) -> None:
        """Count an accepted job; a joined job is not new, and a job with a cached result has already ended."""
        if admission.joined:
            return
        self._accepted.inc()
        if admission.known:
            self._hits.inc()
            self._finished.labels(JobState.SUCCEEDED).inc()

    def ended(self, state: JobState) -> None:
        """Count a job that this process ended."""
        self._finished.labels(state).inc()


class QueueCollector(Collector):
    """Reads the queue from Redis whenever the metrics are collected."""

    def __init__(
        self, reader: BacklogReader, workers: WorkerRegistry, deliveries: Deliveries, batches: Batches
    ) -> None:
        self._reader = reader
        self._workers = workers
        self._deliveries = deliveries
        self._batches = batches

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the queue; while Redis is unreachable, only `topthree_redis_up`."""
        try:
            backlog, ready, webhooks = self._reader.read(), self._workers.ready(), self._deliveries.backlog()
            open_batches = self._batches.open_count()
        except redis.RedisError:
            yield _redis_up(0)
            return
        yield _redis_up(1)
        yield _gauge("topthree_jobs_queued", "Jobs that wait for a worker.", backlog.open_jobs - backlog.running)
        yield _gauge("topthree_jobs_in_flight", "Running jobs.", backlog.running)
        yield _gauge(
            "topthree_oldest_job_seconds",
            "Age of the oldest job that has not ended, queued or running; 0 if there is none.",
            backlog.oldest_seconds,
        )
        yield _gauge(
            "topthree_stored_bytes",
            "Total size of the pictures of jobs that have not ended, limited by `MAX_STORED_BYTES`.",
            backlog.stored_bytes,
        )
        models = GaugeMetricFamily(
            "topthree_workers_ready",
            "Ready workers. Workers with equal `answers` (engine, preprocessing, digest of the model) give identical "
            "results.",
            labels=["model", "answers"],
        )
        for names, count in Tally((record.model, record.result_version) for record in ready).items():
            models.add_metric(names, count)
        yield models
        yield _gauge("topthree_batches_open", "Batches that have not ended.", open_batches)
        yield _gauge("topthree_webhooks_open", "Webhooks that have been neither delivered nor given up.", webhooks.open)
        yield _gauge(
            "topthree_webhook_overdue_seconds",
            "How long the oldest due webhook has been due; 0 if none is.",
            webhooks.overdue_seconds,
        )
        attempts = CounterMetricFamily(
            "topthree_webhook_attempts",
            "Attempts to send webhooks, by all processes. `failed` attempts are repeated; `delivered`, `gone` (the "
            "receiver answered 410) and `given_up` are final.",
            labels=["outcome"],
        )
        for outcome, count in webhooks.attempts.items():
            attempts.add_metric([outcome], count)
        yield attempts


def _redis_up(value: int) -> Metric:
    return _gauge("topthree_redis_up", "1 if Redis answered, else 0.", value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value)


def register_metrics(app: Flask, metrics: ApiMetrics) -> None:
    """Count every request of `app`; register it first, so that the duration includes all other hooks."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        rule = request.url_rule
        # Unknown methods and paths are counted as `other`: clients could otherwise create any number of series.
        method, route = (request.method, rule.rule) if rule else ("other", "other")
        metrics.answered(method, route, response.status_code, time.perf_counter() - g.began)
        return response

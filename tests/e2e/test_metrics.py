"""The figures of real processes: one worker of two children, one API, and a real Prometheus that asks both."""

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from api.ready_workers import READ_SECONDS
from deploy.local.embedded_redis import free_port
from tests.support.figures import Figures, Observed, value
from tests.support.monitoring import ALERTS, dashboard_queries, documented, metric_names, rule_queries
from tests.support.processes import Process, RedisServer, Service
from tests.support.repository import ROOT
from tests.support.stub_worker import EXECUTIONS, make_picture
from tests.support.wait import eventually

EXAMPLE = ROOT / "examples" / "traffic_light.png"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def traffic(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Real weights, and some of everything: answers, a hit, a damaged picture, a canceled and an expired job."""
    folder = tmp_path_factory.mktemp("metrics")
    server = RedisServer(folder / "redis")
    service = Observed(server.url, folder, model_dir, WORKERS="2", RESULT_CACHE_TTL_SECONDS="60")
    try:
        service.start_api()
        data = EXAMPLE.read_bytes()
        canceled = service.accept(make_picture())
        assert requests.delete(f"{service.url}/result/{canceled}", timeout=5).status_code == 204
        headers = {**ASYNC, "Content-Type": "image/png"}
        late = requests.post(f"{service.url}/upload?deadline=1", make_picture(), headers=headers, timeout=5).json()
        passed_at = time.monotonic() + 1
        eventually(lambda: time.monotonic() > passed_at, what="a deadline that has passed")
        service.start_worker()
        service.wait_ready()
        service.finished(late["id"])
        # The cache is used once the API has read which worker is there, at most a second after its start.
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + 2 * READ_SECONDS, what="a read of the ready workers")
        assert service.upload(data).headers["Cache-Status"] == "topthree; fwd=miss"
        assert service.upload(data).headers["Cache-Status"] == "topthree; hit"
        assert service.upload(data[: len(data) // 2]).status_code == 422
        for job in [service.accept(make_picture()) for _ in range(20)]:
            service.finished(job)
        eventually(lambda: value(service.of_worker, "job_seconds_count") == 22, what="the count of the last job")
        yield service
    finally:
        service.stop()
        server.kill()


def test_every_job_is_counted_once_over_all_processes(traffic: Observed) -> None:
    # When the figures of both are added
    api, worker = traffic.of_api, traffic.of_worker
    ended = {
        outcome: value(api, "jobs_finished_total", outcome=outcome)
        + value(worker, "jobs_finished_total", outcome=outcome)
        for outcome in ("succeeded", "failed", "canceled", "expired")
    }
    # Then each job is there, under what became of it
    assert ended == {"succeeded": 22, "failed": 1, "canceled": 1, "expired": 1}
    assert (value(api, "jobs_accepted_total"), value(api, "cache_hits_total")) == (25, 1)


def test_what_the_processes_tell_is_what_the_reference_has(traffic: Observed) -> None:
    names = {name for name, _ in (*traffic.of_api, *traffic.of_worker) if not name.endswith("_created")}
    assert {found for name in names for found in metric_names(name)} == documented()


def test_a_worker_tells_its_stages(traffic: Observed) -> None:
    found = traffic.of_worker
    counts = {name: value(found, f"{name}_count") for name in ("queue_seconds", "decode_seconds", "job_seconds")}
    assert counts == dict.fromkeys(counts, 22)
    # The damaged picture did not reach the model
    assert value(found, "inference_seconds_count") == value(found, "batch_pictures_sum") == 21
    assert value(found, "decode_seconds_sum") + value(found, "inference_seconds_sum") > 0
    assert value(found, "decode_seconds_sum") < value(found, "job_seconds_sum") < 22 * 60
    assert (value(found, "job_attempts_total"), value(found, "job_redeliveries_total", reason="lost")) == (22, 0)


@pytest.fixture
def prometheus(traffic: Observed, tmp_path: Path) -> Iterator[str]:
    """A Prometheus with the rules of deploy/monitoring; its URL, once it has asked both processes."""
    program = shutil.which("prometheus")
    assert program, "This test needs prometheus, from Debian's package of that name: apt-get install prometheus"
    targets = {"api": traffic.port, "worker": traffic.metrics_port}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in targets.items()
        ],
    }
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration), "utf-8")
    port = free_port()
    process = Process(
        [
            *(program, f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}"),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        tmp_path / "prometheus.log",
    )
    try:
        url = f"http://127.0.0.1:{port}"
        # Rates want two samples.
        rates = "count(rate(topthree_job_attempts_total[1m])) and count(rate(topthree_jobs_accepted_total[1m]))"
        eventually(lambda: process.running and ask(url, rates), 30, "two samples of both")
        yield url
    finally:
        process.kill()


def ask(url: str, query: str) -> list[Any]:
    """Return the series that a query finds; AssertionError if Prometheus does not understand it."""
    try:
        answer = requests.get(f"{url}/api/v1/query", {"query": query}, timeout=5)
    except requests.ConnectionError:
        return []
    # While it starts it says so.
    assert answer.status_code in (200, 503), answer.text
    return list(answer.json()["data"]["result"]) if answer.ok else []


@pytest.mark.prometheus
def test_prometheus_finds_what_the_dashboard_and_the_alarms_ask_for(traffic: Observed, prometheus: str) -> None:
    # When every query of the dashboard is asked, Then each finds something
    traffic.upload(make_picture())
    for query in dashboard_queries():
        assert ask(prometheus, query), query
    # And every metric of an alarm is there, and none of them is raised by a service that is well
    for query in rule_queries():
        for name in metric_names(query):
            assert ask(prometheus, f'{{__name__=~"{name}(_bucket)?"}}'), name
    rules = requests.get(f"{prometheus}/api/v1/rules", timeout=5).json()["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_what_a_lost_child_has_counted_stays(server: RedisServer, tmp_path: Path) -> None:
    # Given a worker of one child that has done two jobs
    service = Observed(server.url, tmp_path, tmp_path)
    try:
        service.start_api()
        worker = service.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(tmp_path / "executions")})
        service.wait_ready()
        for _ in range(2):
            service.upload(make_picture())
        # When a picture kills the child that runs it, as often as it is begun
        service.finished(service.accept(make_picture("sigkill")))
        service.upload(make_picture())
        # Then nothing is forgotten: 3 + 3 attempts, two of which were published again, and one end by the parent
        eventually(
            lambda: ends(service.of_worker) == [3, 1], what="the count of the last job, which is answered before"
        )
        found = service.of_worker
        assert value(found, "job_attempts_total") == 6
        assert value(found, "job_redeliveries_total", reason="lost") == 2
        # And a worker that is started right after this one was killed has the port, while children may still be there
        worker.signal(signal.SIGKILL)
        worker.wait()
        service.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(tmp_path / "executions")})
        eventually(lambda: is_served(service), what="the figures of the next worker")
        assert value(service.of_worker, "job_attempts_total") == 0
    finally:
        service.stop()


def ends(found: Figures) -> list[float]:
    return [value(found, "jobs_finished_total", outcome=outcome) for outcome in ("succeeded", "failed")]


def is_served(service: Observed) -> bool:
    try:
        return bool(service.of_worker)
    except requests.ConnectionError:
        return False


def test_a_port_that_is_taken_stops_the_worker_with_a_sentence(
    server: RedisServer, model_dir: Path, tmp_path: Path
) -> None:
    worker = Service(server.url, tmp_path, model_dir, METRICS_PORT=str(server.port)).start_worker()
    assert worker.wait() == 1 and f"cannot serve metrics on 127.0.0.1:{server.port}" in worker.output
    assert "Traceback" not in worker.output

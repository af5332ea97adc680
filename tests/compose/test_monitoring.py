"""Monitoring in containers: a worker tells its figures to its neighbours, and the profile `monitoring` is in order."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.compose.conftest import Pictures
from tests.support.docker import Stack
from tests.support.monitoring import rule_queries
from tests.support.monitoring_images import provide_monitoring_images
from tests.support.wait import eventually

FIGURES = "import urllib.request as u; print(u.urlopen('http://worker:9100/metrics', timeout=5).read().decode())"


def test_the_monitoring_profile_is_in_order(stack: Stack) -> None:
    services = stack.run("--profile", "monitoring", "config", "--services").split()
    assert {"prometheus", "grafana", "flower"} <= set(services)


def test_a_worker_tells_its_figures_inside_the_network_and_nowhere_else(stack: Stack, pictures: Pictures) -> None:
    # Given one worker that has done a job
    stack.scale(1)
    stack.results([stack.accept(picture) for picture in pictures(1)], seconds=60)
    # When its neighbour asks, Then it tells
    told = stack.run("exec", "-T", "api", "python", "-c", FIGURES)
    assert "topthree_decode_seconds_count" in told
    # And its port is not published
    assert not stack.engine.inspect(stack.containers("worker")[0])["NetworkSettings"]["Ports"]


class Monitoring:
    """Prometheus and Flower of the profile, beside the service."""

    def __init__(self, stack: Stack) -> None:
        self._prometheus = f"http://127.0.0.1:{stack.environ['PROMETHEUS_PORT']}"
        self._flower = f"http://127.0.0.1:{stack.environ['FLOWER_PORT']}"

    def ready(self) -> bool:
        """Whether Prometheus answers questions."""
        try:
            return requests.get(f"{self._prometheus}/-/ready", timeout=10).ok
        except requests.ConnectionError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what Prometheus' API says."""
        return requests.get(f"{self._prometheus}/api/v1/{path}", parameters, timeout=10).json()["data"]

    def value(self, query: str) -> float:
        """Return the sum of what a query finds, 0 for nothing."""
        found = self.ask("query", query=f"sum({query})")["result"]
        return float(found[0]["value"][1]) if found else 0

    def jobs_up(self) -> dict[str, int]:
        """Return how many targets of each job answer."""
        targets = self.ask("targets")["activeTargets"]
        health = [(target["labels"]["job"], target["health"]) for target in targets]
        return {job: health.count((job, "up")) for job, _ in health}

    def broker_page(self) -> str:
        """Return Flower's page of the broker, "" while it does not answer."""
        try:
            answer = requests.get(f"{self._flower}/broker", timeout=30)
        except requests.ConnectionError:
            return ""
        return answer.text if answer.ok else ""


@pytest.fixture(scope="module")
def monitoring(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """Both beside two workers, as the profile brings them up."""
    provide_monitoring_images(stack.engine, tmp_path_factory.mktemp("image"))
    stack.scale(2)
    profile = ("--profile", "monitoring")
    try:
        stack.run(*profile, "up", "--detach", "--no-build", "--no-deps", "prometheus", "flower")
        monitoring = Monitoring(stack)
        eventually(monitoring.ready, 60, "a ready Prometheus")
        yield monitoring
    finally:
        stack.run(*profile, "rm", "--stop", "--force", "prometheus", "flower")


def test_prometheus_finds_every_container_and_raises_no_alarm(
    stack: Stack, monitoring: Monitoring, pictures: Pictures
) -> None:
    # Given Prometheus, which finds the API and two workers by their services' names
    eventually(lambda: monitoring.jobs_up() == {"api": 1, "worker": 2}, 90, "three targets that are up")
    # When pictures are classified
    before = monitoring.value("topthree_jobs_accepted_total")
    stack.results([stack.accept(picture) for picture in pictures(6)], seconds=60)
    # Then the figures of the API, of the queue and of the workers' children can be asked for
    eventually(lambda: monitoring.value("topthree_jobs_accepted_total") >= before + 6, 60, "accepted jobs")
    eventually(lambda: monitoring.value("topthree_decode_seconds_count") >= 6, 60, "decoded pictures")
    assert monitoring.value("topthree_workers_ready") == 2
    # And every rule is there, was computed without an error, and none is raised
    assert len(all_rules(monitoring)) == len(rule_queries())
    eventually(lambda: {rule["health"] for rule in all_rules(monitoring)} == {"ok"}, 60, "rules that were computed")
    assert {rule["name"]: rule["state"] for rule in all_rules(monitoring) if rule["state"] != "inactive"} == {}


def all_rules(monitoring: Monitoring) -> list[dict[str, Any]]:
    return [rule for group in monitoring.ask("rules")["groups"] for rule in group["rules"]]


def test_flower_shows_how_long_the_queue_is(stack: Stack, monitoring: Monitoring, pictures: Pictures) -> None:
    # Given jobs in the queue, as the workers are away
    stack.run("stop", "worker")
    jobs = [stack.accept(picture) for picture in pictures(3)]
    # Then Flower's page of the broker has the queue and its length
    eventually(lambda: shows(monitoring.broker_page(), "classify", "3"), 60, "the queue on Flower's page")
    stack.run("start", "worker")
    stack.results(jobs, seconds=60)


def shows(page: str, *cells: str) -> bool:
    """Whether a table has these cells beside each other."""
    return re.search(r"\s*".join(rf"<td[^>]*>\s*{re.escape(cell)}\s*</td>" for cell in cells), page) is not None

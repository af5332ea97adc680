"""Monitoring in containers: a worker tells its figures to its neighbours, and the profile `monitoring` is in order."""

from tests.compose.conftest import Pictures
from tests.support.docker import Stack

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

"""A service whose worker tells its figures, and what processes tell."""

from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.embedded_redis import free_port
from tests.support.processes import Service

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(url: str) -> Figures:
    """Return every sample of a process by name and labels."""
    answer = requests.get(url, timeout=5)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(found: Figures, name: str, **labels: str) -> float:
    return found[f"topthree_{name}", tuple(sorted(labels.items()))]


class Observed(Service):
    """A service, of one worker at a time, with the figures of both processes."""

    def __init__(self, redis_url: str, folder: Path, model_dir: Path, **settings: str) -> None:
        self.metrics_port = free_port()
        super().__init__(redis_url, folder, model_dir, METRICS_PORT=str(self.metrics_port), **settings)

    @property
    def of_worker(self) -> Figures:
        return figures(f"http://127.0.0.1:{self.metrics_port}/metrics")

    @property
    def of_api(self) -> Figures:
        return figures(f"{self.url}/metrics")

"""`make reference`: generates tables in docs/ from the source; a comment above each names the function for its rows."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from pydantic.fields import FieldInfo

from api.contract.document import TAGS
from api.contract.problems import ON_EVERY_ROUTE
from api.metrics import ApiMetrics, QueueCollector
from shared.jobs.backlog import Backlog
from shared.jobs.deliveries import DeliveryBacklog
from shared.settings import API, API_AND_WEBHOOKS, BOTH, MEBIBYTE, WEBHOOKS, WORKER, Settings
from shared.worker_registry import WorkerRecord
from tests.support.repository import ROOT
from worker.metrics import WorkerMetrics

CONTRACT = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
TAG_NAMES = [tag["name"] for tag in TAGS]
OPERATIONS = sorted(
    ((path, method, operation) for path, methods in CONTRACT["paths"].items() for method, operation in methods.items()),
    key=lambda each: (TAG_NAMES.index(each[2]["tags"][0]), each[1] == "delete"),
)
Rows = Iterator[tuple[str, ...]]


def settings() -> Rows:
    [definition] = ast.parse(inspect.getsource(Settings)).body
    pairs = [(field, text) for field, text in pairwise(definition.body) if isinstance(field, ast.AnnAssign)]
    texts = {field.target.id: text.value.value for field, text in pairs}
    for name, field in Settings.model_fields.items():
        [read_by] = {API, WORKER, BOTH, WEBHOOKS, API_AND_WEBHOOKS} & {
            mark for mark in field.metadata if isinstance(mark, str)
        }
        yield f"`{name.upper()}`", default(name, field), read_by, texts[name]


def default(name: str, field: FieldInfo) -> str:
    if field.default_factory:
        return field.default_factory.__name__.replace("_", " ")
    if field.default in ("", (), None):
        return "none"
    value = int(field.default) if isinstance(field.default, bool) else field.default
    return f"`{value}`" + (f" ({value // MEBIBYTE} MiB)" if name.endswith("_bytes") else "")


def routes() -> Rows:
    for path, method, operation in OPERATIONS:
        summary, responses = operation["summary"], operation["responses"]
        purpose = f"{summary}{'' if summary.endswith('?') else '.'} {operation['description']}"
        successes = [f"{status}: {responses[status]['description']}" for status in responses if status < "400"]
        errors = ", ".join(status for status in responses if status >= "400" and int(status) not in ON_EVERY_ROUTE)
        yield f"`{method.upper()} {path}`", purpose, " ".join((*successes, errors))


def parameters() -> Rows:
    routes: dict[str, list[str]] = {}
    for path, method, operation in OPERATIONS:
        for each in operation["parameters"]:
            routes.setdefault(each["name"], []).append(f"`{method.upper()} {path}`")
    described = {each["name"]: each for _, _, operation in OPERATIONS for each in operation["parameters"]}
    for name, each in described.items():
        yield f"`{name}`", each["in"], ", ".join(routes[name]), each["description"]


def headers() -> Rows:
    for name, header in CONTRACT["components"]["headers"].items():
        yield f"`{name}`", header["description"]


def errors() -> Rows:
    for name, response in CONTRACT["components"]["responses"].items():
        yield name.removeprefix("Problem"), response["description"]


def api_metrics() -> Rows:
    metrics = ApiMetrics()
    # Prometheus' client returns label names only for metrics with a sample.
    metrics.answered("GET", "/", 200, 0)
    return rows_of(metrics.registry)


def queue_metrics() -> Rows:
    backlog, worker = Backlog(0, 0, 0, 0, 0, 0), WorkerRecord("", "", "", "", "", 1)
    deliveries = DeliveryBacklog(0, 0, {"delivered": 0})
    return rows_of(
        QueueCollector(
            SimpleNamespace(read=lambda: backlog),
            SimpleNamespace(ready=lambda: [worker]),
            SimpleNamespace(backlog=lambda: deliveries),
            SimpleNamespace(open_count=lambda: 0),
        )
    )


def worker_metrics() -> Rows:
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    return rows_of(registry)


def rows_of(metrics: Collector) -> Rows:
    for metric in metrics.collect():
        labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
        kind = metric.type + ("; " if labels else "") + ", ".join(f"`{label}`" for label in labels)
        yield f"`{metric.name}{'_total' * (metric.type == 'counter')}`", kind, metric.documentation


PAGES = {
    ROOT / "docs" / "configuration.md": (settings,),
    ROOT / "docs" / "http.md": (routes, parameters, headers, errors),
    ROOT / "docs" / "metrics.md": (api_metrics, queue_metrics, worker_metrics),
}


def written(page: Path) -> str:
    """Return the text of a page with the rows of its tables generated from the source."""
    text = page.read_text("utf-8")
    for table in PAGES[page]:
        rows = "".join(f"| {' '.join(' | '.join(cells).split())} |\n" for cells in table())
        head = rf"(<!-- make reference: {table.__name__} -->\n\|.*\n\|.*\n)"
        text, places = re.subn(rf"{head}(?:\|.*\n)*", lambda found, rows=rows: found[1] + rows, text)
        assert places == 1, f"{page} has {places} tables {table.__name__}"
    return text


if __name__ == "__main__":
    for changed in PAGES:
        changed.write_text(written(changed), "utf-8")

"""The rules, the dashboard and the reference speak of the same metrics as the code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.monitoring import ALERTS, MONITORING, dashboard_queries, documented, metric_names, rule_queries
from tests.support.repository import ROOT

GUIDE = ROOT / "docs" / "operations.md"


@pytest.mark.parametrize("queries", [dashboard_queries, rule_queries])
def test_every_query_is_about_metrics_of_the_reference(queries) -> None:  # type: ignore[no-untyped-def]
    names = {name for query in queries() for name in metric_names(query)}
    assert names and names <= documented()


def test_the_dashboard_shows_every_metric() -> None:
    assert documented() == {name for query in dashboard_queries() for name in metric_names(query)}


def test_the_guide_says_what_to_do_about_every_alarm() -> None:
    alarms = re.findall(r"- alert: (\w+)", ALERTS.read_text("utf-8"))
    assert alarms and re.findall(r"^\| `(\w+)` \|", GUIDE.read_text("utf-8"), re.MULTILINE) == alarms


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")], ids=" ".join
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    # Given Prometheus' own tool
    promtool = shutil.which("promtool")
    assert promtool, "These tests need promtool, from Debian's package prometheus: apt-get install prometheus"
    # When it reads the rules, and plays what raises the alarms, Then nothing is wrong
    done = subprocess.run([promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_mounts_what_is_there() -> None:
    mounted = re.findall(
        r"- \./((?:deploy/monitoring|shared)/[^:]+):", (ROOT / "docker-compose.yml").read_text("utf-8")
    )
    assert mounted and all(Path(ROOT, path).exists() and os.access(ROOT / path, os.R_OK) for path in mounted)


@pytest.mark.parametrize(
    ("url", "broker", "verified"),
    [
        ("redis://:secret@redis:6379/0", "redis://:secret@redis:6379/0", None),
        ("rediss://:secret@redis/1?ssl_cert_reqs=CERT_NONE", "rediss://:secret@redis:6379/1", "none"),
        ("rediss://redis", "rediss://redis:6379/0", "required"),
    ],
)
def test_flower_reads_the_url_as_the_service_does(tmp_path: Path, url: str, broker: str, verified: str | None) -> None:
    # Given a folder with what compose mounts into Flower's container, and nothing else
    for source, target in re.findall(
        r"- \./(\S+\.py):/etc/flower/(\S+):ro", (ROOT / "docker-compose.yml").read_text("utf-8")
    ):
        (tmp_path / target).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / target)
    # When Celery reads it there, Then it connects as the service does
    program = (
        "import json, flower_celery as told; "
        "print(json.dumps([told.broker_url, told.broker_use_ssl, told.broker_transport_options]))"
    )
    environ = {"REDIS_URL": url, "REDIS_PREFIX": "cats:", "PYTHONPATH": str(tmp_path)}
    output = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, env=environ, text=True)
    read, tls, options = json.loads(output)
    assert (read, tls and tls["ssl_cert_reqs"]) == (broker, verified)
    # And sees the keys of the service only
    assert options["global_keyprefix"] == "cats:"

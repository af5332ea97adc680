"""What stands in deploy/monitoring: the queries of the dashboard and of the rules."""

import json
import re

import yaml

from tests.support.repository import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "topthree.json"


def documented() -> set[str]:
    """Return the metrics that have a line in the reference."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    return set(re.findall(r"^\| `(topthree_\w+)`", text, re.MULTILINE))


def dashboard_queries() -> list[str]:
    """Return the queries of the dashboard, with a range in place of Grafana's variable."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]


def rule_queries() -> list[str]:
    """Return the conditions of the alarms."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def metric_names(query: str) -> set[str]:
    """Return the metrics in a query, as the reference names them."""
    return {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"topthree_\w+", query)}

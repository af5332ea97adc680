"""The status of the service as text for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from topthree_client.formats import printable, shown_time

MOST_FAILURES = 5
MINUTES_OF_AN_HOUR = 60


def status_report(url: str, status: Mapping[str, Any]) -> RenderableType:
    """Return the answer of `GET /status.json` as text; KeyError, TypeError or ValueError for anything else."""
    workers = status["workers"]
    parts: list[RenderableType] = [_text(line) for line in _lines(url, status)]
    if workers:
        parts.append(_table("worker", "model", "engine", "processes", "running", rows=map(_worker, workers)))
    failures = status.get("failures", [])[:MOST_FAILURES]
    if failures:
        parts.append(_table("failed at", "reason", Column("job", no_wrap=True), rows=map(_failure, failures)))
    elif status["jobs"]["failed"]:
        parts.append(_text("Run `make failed` on the service's host to see why jobs failed."))
    return Group(*parts)


def _lines(url: str, status: Mapping[str, Any]) -> list[str]:
    jobs, webhooks, workers = status["jobs"], status["webhooks"], status["workers"]
    ended = status["ended"]
    done = [good + bad for good, bad in zip(ended["succeeded"], ended["failed"], strict=True)]
    oldest = f"; the oldest is {jobs['oldest_seconds']:,.0f} s old" if jobs["queued"] or jobs["running"] else ""
    lines = [
        url,
        f"workers: {len(workers)} ready" + ("" if workers else "; pictures wait"),
        f"jobs: {jobs['queued']:,} queued, {jobs['running']:,} running, {jobs['failed']:,} failed recently{oldest}",
        # The last one in the list is the current minute.
        f"done: {done[-2]:,} in the last full minute, {sum(done[-MINUTES_OF_AN_HOUR:]):,} in the last hour",
    ]
    if status["batches"]["open"]:
        lines.append(f"batches: {status['batches']['open']:,} open")
    if webhooks["open"] or webhooks["given_up"]:
        lines.append(f"webhooks: {webhooks['open']:,} open, {webhooks['given_up']:,} given up")
    if "refusal" in status:
        lines.append(f"pictures are refused: {status['refusal']}")
    return lines


def _worker(worker: Mapping[str, Any]) -> tuple[str, ...]:
    model = f"{worker['model']} ({worker['digest'][:12]})"
    return worker["name"], model, worker["engine"], str(worker["children"]), str(worker.get("running", "-"))


def _failure(failure: Mapping[str, Any]) -> tuple[str, ...]:
    title, detail = failure["title"], failure.get("detail", "")
    if not detail:
        reason = title
    elif title.lower() in detail.lower():
        reason = detail
    else:
        reason = f"{title}: {detail}"
    return shown_time(datetime.fromisoformat(failure["finished"])), reason, failure.get("id", "-")


def _table(*heads: str | Column, rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*heads, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    return table


def _text(text: str) -> Text:
    return Text(printable(text), overflow="fold")

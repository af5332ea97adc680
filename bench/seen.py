"""What the load generator saw: statuses, right and wrong labels, latencies."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.connection import Answer
from bench.trace import Item

# What begins earlier is not timed.
WARM_SECONDS = 0.5
_LABEL = re.compile(rb'"predicted_label": *"([^"]*)"')
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *\d", re.IGNORECASE)


@dataclass
class Seen:
    """What was seen of the requests; latencies in milliseconds, of the right answers after the warm-up."""

    began: float
    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    right: int = 0
    wrong: int = 0
    requests: int = 0
    with_retry_after: int = 0
    in_window: int = 0
    latest_send_ms: float = 0.0

    def end(self, item: Item, since: float, answer: Answer) -> None:
        """Count one job."""
        now = time.perf_counter()
        self.statuses[answer.status] += 1
        if answer.status != 200:
            self.with_retry_after += bool(_RETRY_AFTER.search(answer.head))
            return
        found = _LABEL.search(answer.body)
        if found is None or found.group(1).decode() != item.label:
            self.wrong += 1
            return
        self.right += 1
        if since >= self.began + WARM_SECONDS:
            self.latencies.append((now - since) * 1000)
        self.in_window += self.began + WARM_SECONDS <= now <= self.began + WARM_SECONDS + self.seconds

    def report(self, lost: int, elapsed: float, cpu: float) -> dict[str, Any]:
        """Return everything as JSON can hold it; `lost` are jobs that were never answered."""
        return {
            "jobs": sum(self.statuses.values()),
            "right": self.right,
            "wrong": self.wrong,
            "lost": lost,
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "with_retry_after": self.with_retry_after,
            "per_second": self.in_window / self.seconds,
            "latency_ms": percentiles(self.latencies),
            "latest_send_ms": self.latest_send_ms,
            "elapsed_seconds": elapsed,
            "cpu_seconds": cpu,
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """Return median, 90th and 99th percentile and the largest value."""
    if not values:
        return {}
    ranked = sorted(values)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 3) for name, share in shares.items()}

"""The targets of the service, and whether a run met them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.contestants import MAX_OPEN_JOBS
from bench.figures import (
    CACHED,
    INT8,
    OURS,
    Figures,
    Round,
    alone_ms,
    cpu_at_peak,
    limit_of,
    of,
    outside_cpu,
    peak_of,
    rate_of,
    runs_of,
)
from bench.measures import OTHER_SIZES

AT_MOST, AT_LEAST = "at most", "at least"
Run = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A bound on one figure; `value` is None when it was not measured."""

    what: str
    bound: str
    wanted: float
    value: float | None
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.wanted if self.bound == AT_MOST else self.value >= self.wanted


def targets(figures: Figures) -> list[Target]:
    """Return every target with what was measured."""
    peak = peak_of(OURS)
    repeats = ", repeats"
    one, busy, over = "1 clients", "open, 75%", "open, 110%"
    p50, p99 = of(OURS, busy, "latency_ms", "p50"), of(OURS, busy, "latency_ms", "p99")
    return [
        Target("peak / mosec", AT_LEAST, 1.1, figures.ratio(peak, peak_of("mosec"))),
        Target(
            "CPU a picture, mosec / topthree", AT_LEAST, 1.1, figures.ratio(cpu_at_peak("mosec"), cpu_at_peak(OURS))
        ),
        Target("peak / LitServe", AT_LEAST, 1.4, figures.ratio(peak, peak_of("litserve"))),
        Target("peak / BentoML", AT_LEAST, 2, figures.ratio(peak, peak_of("bentoml"))),
        Target("peak / original", AT_LEAST, 1.8, figures.ratio(peak, peak_of("original"))),
        *(_larger(figures, size) for size in OTHER_SIZES),
        Target("peak with int8 / mosec", AT_LEAST, 1.6, figures.ratio(peak_of(INT8), peak_of("mosec"))),
        Target(
            "peak with repeats, cache on / mosec",
            AT_LEAST,
            1.5,
            figures.ratio(peak_of(CACHED, repeats), peak_of("mosec", repeats)),
        ),
        Target("peak / limit", AT_LEAST, 0.75, figures.ratio(peak, limit_of("512"))),
        Target("added latency, 1 client, median", AT_MOST, 4, figures.over_rounds(_added(one, "p50")), "ms"),
        Target("added latency, 1 client, 99th percentile", AT_MOST, 15, figures.over_rounds(_added(one, "p99")), "ms"),
        Target("p99 / p50 at 75% load", AT_MOST, 5, figures.ratio(p99, p50)),
        Target("not answered right at 75% load", AT_MOST, 0, _extreme(figures, busy, _not_right)),
        Target("refused at 110% load, all rounds", AT_LEAST, 1, _extreme(figures, over, _refused, sum)),
        Target("of these without Retry-After", AT_MOST, 0, _extreme(figures, over, _without_retry_after)),
        Target("errors other than 503 at 110%", AT_MOST, 0, _extreme(figures, over, _errors)),
        Target("open jobs at 110% load", AT_MOST, MAX_OPEN_JOBS, _extreme(figures, over, _most_open)),
        Target("queue empty after the overload", AT_MOST, 30, _extreme(figures, over, _drain), "s"),
        Target("CPU a job outside decode and inference", AT_MOST, 5, figures.over_rounds(outside_cpu), "core-ms"),
    ]


def _larger(figures: Figures, size: str) -> Target:
    ratio = figures.ratio(rate_of(OURS, size), rate_of("mosec", size))
    return Target(f"{size}, 8 clients / mosec", AT_LEAST, 1.2, ratio)


def _added(measure: str, percentile: str) -> Callable[[Round], float | None]:
    read = of(OURS, measure, "latency_ms", percentile)

    def added(one: Round) -> float | None:
        value = read(one)
        return None if value is None else value - alone_ms(one)

    return added


def _extreme(
    figures: Figures, measure: str, figure: Callable[[Run], float], pick: Callable[[list[float]], float] = max
) -> float | None:
    """Return the figure over all rounds: the worst unless `pick` says otherwise."""
    runs = [runs_of(one, OURS)[measure] for one in figures.rounds if measure in runs_of(one, OURS)]
    return pick([figure(run) for run in runs]) if runs else None


def _not_right(run: Run) -> int:
    return int(run["jobs"] + run["lost"] - run["right"])


def _refused(run: Run) -> int:
    return int(run["statuses"].get("503", 0))


def _most_open(run: Run) -> int:
    return int(run["most_open_jobs"])


def _drain(run: Run) -> float:
    return float(run["drain_seconds"])


def _without_retry_after(run: Run) -> int:
    return _refused(run) - int(run["with_retry_after"])


def _errors(run: Run) -> int:
    return _not_right(run) - _refused(run)

"""`python -m bench.plot RESULTS.json`: draws them as a PNG beside the file, in an environment of its own."""

import json
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from bench.figures import OURS, Figures, peak_of, rate_of  # the backend comes first
from bench.measures import OTHER_SIZES

DOCUMENTED = ("mosec", "litserve", "bentoml", "original")


def main() -> None:
    """Draw how often the service is as fast as each peer, and latency over load."""
    file = Path(sys.argv[1])
    results = json.loads(file.read_text("utf-8"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    figures = Figures(results)
    draw_ratios(left, figures)
    draw_latency(right, figures.rounds)
    about = results["about"]
    figure.suptitle(
        f"{about['date'][:10]}, {about['cores']} cores of {about['processor']}, {about['model']}", fontsize=10
    )
    figure.savefig(file.with_suffix(".png"), dpi=120)


def draw_ratios(axes: Any, figures: Figures) -> None:
    """Bars: pictures a second of the service over those of each peer as documented, one bar for each size."""
    peers = [name for name in DOCUMENTED if name in figures.contestants()]
    rates = {"512": peak_of, **{size: partial(rate_of, size=size) for size in OTHER_SIZES}}
    for place, (size, rate) in enumerate(rates.items()):
        ratios = [figures.ratio(rate(OURS), rate(name)) or 0 for name in peers]
        axes.barh([row + 0.25 * (1 - place) for row in range(len(peers))], ratios, 0.23, label=f"{size} pictures")
    axes.set_yticks(range(len(peers)), peers)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("pictures a second, topthree / the other server as documented")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(rates), frameon=False)


def draw_latency(axes: Any, rounds: list[dict[str, Any]]) -> None:
    """Lines: median and 99th percentile of the service over the offered load."""
    for percentile in ("p50", "p99"):
        points: dict[float, list[float]] = {}
        for one in rounds:
            for measure, run in one["contestants"].get("topthree", {}).get("runs", {}).items():
                if measure.startswith("open") and measure.endswith("%") and run["latency_ms"]:
                    load = float(measure.removeprefix("open, ").removesuffix("%"))
                    points.setdefault(load, []).append(run["latency_ms"][percentile])
        loads = sorted(points)
        axes.plot(loads, [median(points[load]) for load in loads], "o-", label=percentile)
    axes.set_xlabel("offered load, % of the peak (Poisson, timed from the planned send)")
    axes.set_ylabel("ms")
    axes.set_ylim(bottom=0)
    axes.legend()


if __name__ == "__main__":
    main()

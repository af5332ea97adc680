"""`python -m bench.plot RESULTS.json`: draws them as a PNG beside the file, in an environment of its own."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from bench.figures import Figures, limit_of, peak_of  # the backend comes first


def main() -> None:
    """Draw throughput beside the limit, and latency over load."""
    file = Path(sys.argv[1])
    results = json.loads(file.read_text("utf-8"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    figures = Figures(results)
    draw_peaks(left, figures)
    draw_latency(right, figures.rounds)
    about = results["about"]
    figure.suptitle(f"{about['date'][:10]}, {about['cores']} cores, {about['model']}, 512 px pictures", fontsize=10)
    figure.savefig(file.with_suffix(".png"), dpi=120)


def draw_peaks(axes: Any, figures: Figures) -> None:
    """Bars: each contestant's peak as a share of the limit of the same round; dots: the rounds."""
    shares: dict[str, list[float]] = {}
    for name in figures.contestants():
        for kind in ("", ", repeats"):
            found = [(peak_of(name, kind)(one), limit_of("512")(one)) for one in figures.rounds]
            shares[name + kind] = [peak / limit for peak, limit in found if peak and limit]
    shares = {name: found for name, found in shares.items() if found}
    names = sorted(shares, key=lambda name: median(shares[name]))
    colours = ["#1f77b4" if name.startswith("topthree") else "#b0b0b0" for name in names]
    axes.barh(names, [median(shares[name]) for name in names], color=colours)
    for place, name in enumerate(names):
        axes.plot(shares[name], [place] * len(shares[name]), "k.", markersize=4)
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("peak throughput / limit (decode + LiteRT, no server)")


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

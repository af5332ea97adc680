"""`python -m bench.plot RESULTS.json`: draws the figures of a run as SVG files beside it."""

import json
import sys
from pathlib import Path
from typing import Any

from bench.figures import OURS, Figures, of, peak_of, rate_of
from bench.measures import LOADS
from bench.svg import GRAY, INK, Drawing

# No plotting library: the same results give the same bytes, so a test can compare each plot with the results beside it,
# and a benchmark needs no further packages.
DOCUMENTED = {"mosec": "mosec", "litserve": "LitServe", "bentoml": "BentoML", "original": "the original program"}
SIZES = {"512": "512 x 512", "1080p": "1920 x 1080", "12mp": "4000 x 3000"}
PROCESSES = {
    "celery child": "decoding and model",
    "api": "API",
    "redis": "Redis",
    "celery parent": "Celery main process",
}
# Color-blind people can tell these apart (Okabe and Ito).
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
WIDTH = 720
# Where bars begin, and the length of the longest one.
LEFT, TOP, LENGTH = 160, 92, 490
BAR = 16
# Between two lines of the grid.
STEP_MS = 100


def main() -> None:
    """Draw the results that are named on the command line."""
    save(Path(sys.argv[1]))


def save(file: Path) -> list[Path]:
    """Draw the results in a file of JSON and return the files written, `<name>-<plot>.svg`."""
    written = []
    for name, svg in draw(json.loads(file.read_text("utf-8"))).items():
        written.append(file.with_name(f"{file.stem}-{name}.svg"))
        written[-1].write_text(svg, "utf-8")
    return written


def draw(results: dict[str, Any]) -> dict[str, str]:
    """Return the plots for which the run has figures, as SVG by name."""
    figures, about = Figures(results), results["about"]
    source = f"{about['date'][:10]}, {about['cores']} cores of {about['processor']}, {about['model'].split('-')[0]}"
    plots = {
        "ratios": _ratios(figures, source),
        "latency": _latency(figures, source),
        "sizes": _sizes(figures, source),
    }
    return {name: plot.render() for name, plot in plots.items() if plot}


def _ratios(figures: Figures, source: str) -> Drawing | None:
    """Bars: the service's pictures a second over those of each peer as documented, one for each size."""
    peers = [name for name in DOCUMENTED if name in figures.contestants()]
    ratios = {(peer, size): _ratio(figures, peer, size) for peer in peers for size in SIZES}
    known = [ratio for ratio in ratios.values() if ratio is not None]
    if not known:
        return None
    group = BAR * len(SIZES) + 18
    title = "Pictures a second: topthree divided by other servers (above 1, topthree is faster)"
    drawing = _begin(title, source, TOP + group * len(peers))
    drawing.legend(LEFT, 70, list(zip(SIZES.values(), COLORS, strict=False)))
    scale = LENGTH / max(known)
    drawing.line([(LEFT + scale, TOP - 8), (LEFT + scale, TOP + group * len(peers) - 14)], INK, dash="4 3")
    for row, peer in enumerate(peers):
        top = TOP + row * group
        drawing.text(LEFT - 12, top + BAR * len(SIZES) / 2 + 4, DOCUMENTED[peer], "end")
        for place, (size, color) in enumerate(zip(SIZES, COLORS, strict=False)):
            if (ratio := ratios[peer, size]) is not None:
                _bar(drawing, top + place * BAR, [(ratio, color)], scale, f"{ratio:.2f}")
    return drawing


def _ratio(figures: Figures, peer: str, size: str) -> float | None:
    """Return pictures a second of the service over those of a peer: of the small size at the peak of each."""
    if size == "512":
        return figures.ratio(peak_of(OURS), peak_of(peer))
    return figures.ratio(rate_of(OURS, size), rate_of(peer, size))


def _sizes(figures: Figures, source: str) -> Drawing | None:
    """Stacked bars: CPU time of a picture by process, one bar for each size."""
    measures = {size: "8 clients" if size == "512" else f"8 clients, {size}" for size in SIZES}
    costs = {
        size: [figures.over_rounds(of(OURS, measure, "cpu_ms", process)) or 0 for process in PROCESSES]
        for size, measure in measures.items()
        if measure in figures.measures(OURS)
    }
    if not costs:
        return None
    title = "CPU time per picture, by picture size (milliseconds of one core)"
    drawing = _begin(title, source, TOP + 40 * len(costs))
    drawing.legend(LEFT - 60, 70, list(zip(PROCESSES.values(), COLORS, strict=True)))
    scale = LENGTH / max(sum(parts) for parts in costs.values())
    for row, (size, parts) in enumerate(costs.items()):
        top = TOP - 4 + row * 40
        drawing.text(LEFT - 12, top + 18, SIZES[size], "end")
        _bar(drawing, top, list(zip(parts, COLORS, strict=True)), scale, f"{sum(parts):.0f}", 26)
    return drawing


def _latency(figures: Figures, source: str) -> Drawing | None:
    """Lines: median and 99th percentile of the service over the offered load."""
    loads = [load for load in LOADS if f"open, {load:.0%}" in figures.measures(OURS)]
    if not loads:
        return None
    lines = {
        name: [figures.over_rounds(of(OURS, f"open, {load:.0%}", "latency_ms", key)) or 0 for load in loads]
        for name, key in (("99th percentile", "p99"), ("median", "p50"))
    }
    left, right, top, bottom = 70, WIDTH - 140, 70, 300
    drawing = _begin("Latency under load (milliseconds)", source, bottom + 56)
    steps = int(max(map(max, lines.values())) // STEP_MS) + 1
    for number in range(steps + 1):
        y = bottom - (bottom - top) * number / steps
        drawing.line([(left, y), (right, y)])
        drawing.text(left - 10, y + 4, str(number * STEP_MS), "end")
    places = [left + (right - left) * load / max(loads) for load in loads]
    for x, load in zip(places, loads, strict=True):
        drawing.text(x, bottom + 20, f"{load:.0%}", "middle")
    drawing.text((left + right) / 2, bottom + 42, "offered load, as a share of the peak", "middle", GRAY)
    for (name, values), color in zip(lines.items(), COLORS, strict=False):
        heights = [bottom - (bottom - top) * ms / (steps * STEP_MS) for ms in values]
        drawing.curve(list(zip(places, heights, strict=True)), color)
        drawing.text(places[-1] + 10, heights[-1] + 4, name, bold=True)
    return drawing


def _begin(title: str, source: str, height: int) -> Drawing:
    drawing = Drawing(WIDTH, height, f"{title}. {source}")
    drawing.text(20, 28, title, bold=True)
    drawing.text(20, 47, source, color=GRAY)
    return drawing


def _bar(
    drawing: Drawing, y: float, parts: list[tuple[float, str]], scale: float, total: str, height: float = BAR - 2
) -> None:
    """Draw parts one after the other, and write the total behind them."""
    x = float(LEFT)
    for value, color in parts:
        drawing.bar(x, y, value * scale, height, color)
        x += value * scale
    drawing.text(x + 6, y + height / 2 + 4.5, total)


if __name__ == "__main__":
    main()

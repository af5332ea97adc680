"""The results as text: targets, throughput and latency, processor time, memory and start."""

import subprocess
from statistics import median
from typing import Any

from bench.figures import (
    CACHED,
    OURS,
    Figures,
    cpu_of,
    is_disturbed,
    limit_cpu,
    limit_of,
    of,
    outside_cpu,
    peak_of,
    runs_of,
)
from bench.measures import OTHER_SIZES
from bench.targets import targets

ROLES = ("api", "redis", "celery parent", "celery child", "load generator")
CPU_MEASURES = ("1 clients", "8 clients", "16 clients", "16 clients, async and poll", "open, 75%")


def render(results: dict[str, Any]) -> str:
    """Return the whole report."""
    figures = Figures(results)
    about = results["about"]
    head = (
        f"{about['date']}, {about['commit']}, {about['cores']} cores of {about['processor']}, model {about['model']}, "
        f"{about['rounds']} rounds, {about['seconds']:g} s a measure; medians over the rounds"
    )
    parts = [
        head,
        _limits(figures),
        _targets(figures),
        _runs(figures),
        _processor(figures),
        _memory(figures),
        _notes(figures, results["missing"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _limits(figures: Figures) -> str:
    names = list(dict.fromkeys(name for one in figures.rounds for name in one["limit"]))
    rows = [["limit: decode + LiteRT, no server", "img/s", "core-ms", "ms p50", "ms p99"]]
    for name in names:
        found = [one["limit"][name] for one in figures.rounds if name in one["limit"]]
        values = [median(one["per_second"] for one in found), median(one["cpu_ms"] for one in found)]
        values += [median(one["time_ms"][key] for one in found) for key in ("p50", "p99")]
        rows.append([name, *(_number(value) for value in values)])
    return table(rows)


def _targets(figures: Figures) -> str:
    rows = [["target", "wanted", "measured", ""]]
    words = {True: "met", False: "MISSED", None: "not measured"}
    for target in targets(figures):
        wanted = f"{target.bound} {target.wanted:g} {target.unit}".strip()
        rows.append([target.what, wanted, _number(target.value, 2), words[target.met]])
    return table(rows)


def _runs(figures: Figures) -> str:
    rows = [
        [
            *("contestant", "measure", "img/s", "/ limit", "/ ours", "p50 ms", "p99 ms"),
            *("refused", "wrong", "lost", "CPU ms", "load CPU", "idle", "foreign"),
        ]
    ]
    for name in figures.contestants():
        for measure in figures.measures(name):
            rows.append([name, measure, *_run(figures, name, measure)])
    return table(rows)


def _run(figures: Figures, name: str, measure: str) -> list[str]:
    size = next((size for size in OTHER_SIZES if measure.endswith(size)), "512")
    rate = of(name, measure, "per_second")
    against = peak_of(OURS) if size == "512" else of(OURS, measure, "per_second")
    runs = [runs_of(one, name)[measure] for one in figures.rounds if measure in runs_of(one, name)]
    refused = sum(count for run in runs for status, count in run["statuses"].items() if status not in ("200", "0"))
    share = figures.over_rounds(of(name, measure, "load_generator_share"))
    mark = "*" if any(is_disturbed(run) for run in runs) else ""
    return [
        _number(figures.over_rounds(rate)),
        _number(figures.ratio(rate, limit_of(size)), 2),
        _number(figures.ratio(rate, against), 2),
        *(_number(figures.over_rounds(of(name, measure, "latency_ms", key))) for key in ("p50", "p99")),
        *(str(refused), str(sum(run["wrong"] for run in runs))),
        str(sum(run["lost"] + run["statuses"].get("0", 0) for run in runs)),
        _number(figures.over_rounds(cpu_of(name, measure)), 2),
        "" if share is None else f"{share:.1%}",
        _number(figures.over_rounds(of(name, measure, "idle_cores")), 2),
        _number(figures.over_rounds(of(name, measure, "foreign_cores")), 2) + mark,
    ]


def _processor(figures: Figures) -> str:
    """Where the processor time of a job goes, in core-ms."""
    measures = [measure for measure in CPU_MEASURES if measure in figures.measures(OURS)]
    if not measures:
        return ""
    rows = [["core-ms a job", *measures]]
    for role in ROLES:
        rows.append([role, *(_number(figures.over_rounds(of(OURS, m, "cpu_ms", role)), 2) for m in measures)])
    limit = figures.over_rounds(limit_cpu)
    rows.append(["decode and inference alone (limit)", *([_number(limit, 2)] * len(measures))])
    outside = _number(figures.over_rounds(outside_cpu), 2)
    return table(rows) + f"\noutside decode and inference at 8 clients: {outside} core-ms"


def _memory(figures: Figures) -> str:
    rows = [["contestant", "memory (PSS), MiB by process", "seconds from start to"]]
    for name in figures.contestants():
        visit: dict[str, Any] = next(one["contestants"][name] for one in figures.rounds if name in one["contestants"])
        memory = "; ".join(
            f"{role} {' + '.join(f'{value:.0f}' for value in values)}"
            for role, values in visit.get("memory_mib", {}).items()
        )
        start = ", ".join(f"{what} {seconds:.1f}" for what, seconds in visit["start_seconds"].items())
        rows.append([name, memory, start])
    return table(rows) + _image_sizes()


def _image_sizes() -> str:
    """Return the sizes of this project's container images, if there is a Docker engine that has them."""
    form = ["--format", "{{.Repository}}:{{.Tag}} {{.Size}}", "--filter", "reference=*topthree*"]
    command = ["docker", "image", "ls", *form]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "\ncontainer images: not measured, no Docker engine here"
    return "\ncontainer images: " + (", ".join(done.stdout.splitlines()) or "none built here")


def _notes(figures: Figures, missing: dict[str, str]) -> str:
    lines = [f"{name}: NOT MEASURED, {reason}" for name, reason in missing.items()]
    lines.append(
        "idle, foreign: cores that nobody, or somebody else, used; *: disturbed in every round, not to be trusted"
    )
    for number, one in enumerate(figures.rounds, start=1):
        for name, visit in one["contestants"].items():
            if "failed" in visit:
                lines.append(f"{name}: FAILED in round {number}: {visit['failed']}")
    if CACHED in figures.contestants():
        lines.append(f"{CACHED}: RESULT_CACHE_TTL_SECONDS=3600; in all other runs 0. Repeats: 30 %, Zipf.")
    return "\n".join(lines)


def table(rows: list[list[str]]) -> str:
    """Return rows as columns of text; numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "-" else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _number(value: float | None, decimals: int = 1) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"

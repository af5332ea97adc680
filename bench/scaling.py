"""`python -m bench.scaling`: compares rules for the number of workers in a burst; prints a table and draws a plot."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bench.autoscaler import Rule, Trigger
from bench.burst import CHILDREN, Load, Outcome, Service
from bench.svg import GRAY, PALE, Drawing, Point

MANIFEST = Path(__file__).parents[1] / "deploy" / "kubernetes" / "base" / "scaling.yaml"
PLOT = Path(__file__).parent / "results" / "scaling.svg"
MEASURES = {
    "topthree_oldest_job_seconds": "age",
    "topthree_jobs_queued": "queued",
    "topthree_jobs_in_flight": "running",
}
SEEDS = (1, 2, 3)
JOB_SECONDS = (0.25, 1.0, 4.0)
# Two workers, three quarters busy; then ten times the load, for which fifteen workers would just do.
BUSY_CHILDREN = 0.75 * 2 * CHILDREN
BURST = 10
PROMISE_SECONDS = 60
# Of the glances, which are a second apart.
DRAWN_EVERY = 5
COLORS = ("#0969da", "#cf222e", "#bf8700")


def read_rule(scaled_object: Mapping[str, Any]) -> Rule:
    """Return the rule of a ScaledObject, which has the defaults of Kubernetes in all that is not here."""
    spec = scaled_object["spec"]
    triggers = [
        Trigger(
            MEASURES[each["metadata"]["valueLocation"]],
            float(each["metadata"]["targetValue"]),
            average=each["metricType"] == "AverageValue",
        )
        for each in spec["triggers"]
    ]
    return Rule(tuple(triggers), spec["minReplicaCount"], spec["maxReplicaCount"])


def rules() -> dict[str, Rule]:
    """Return the rules to compare, ours first."""
    ours = read_rule(yaml.safe_load(MANIFEST.read_text("utf-8")))
    age, running = ours.triggers
    others = {
        "age alone": (age,),
        "age alone, target 5 s": (replace(age, target=5),),
        "running jobs alone": (running,),
        "queue length alone, 40 for each worker": (Trigger("queued", 40, average=True),),
    }
    return {"age and running jobs": ours} | {name: replace(ours, triggers=those) for name, those in others.items()}


def load_of(job_seconds: float) -> Load:
    """Return the burst for jobs of this length."""
    rate = BUSY_CHILDREN / job_seconds
    return Load(job_seconds, rate, BURST * rate)


def idle(load: Load) -> Load:
    """Return a load with the same burst, and almost nothing before and after it."""
    return replace(load, rate=0.001)


def simulate(rule: Rule, load: Load) -> list[Outcome]:
    """Return one outcome for each of SEEDS."""
    return [Service(rule, load, seed).run() for seed in SEEDS]


def table() -> Iterator[str]:
    """Yield the lines of the table in docs/how-to/scaling.md."""
    lengths = [f"jobs of {seconds:g} s" for seconds in JOB_SECONDS]
    yield f"| rule | {' | '.join(lengths)} | worker hours | interrupted jobs |"
    yield f"|---|{'---|' * (len(lengths) + 2)}"
    for name, rule in rules().items():
        yield _row(name, [simulate(rule, load_of(seconds)) for seconds in JOB_SECONDS])
    from_none = replace(next(iter(rules().values())), min_pods=0)
    yield _row("age and running jobs, from 0 workers", [simulate(from_none, idle(load_of(s))) for s in JOB_SECONDS])


def draw() -> str:
    """Return the plot as SVG: age of the oldest job and number of workers, for two lengths of jobs."""
    drawing = Drawing(920, 560, "Age of the oldest job and number of workers in a burst of ten times the load")
    shown = [name for name in rules() if name in ("age and running jobs", "age alone") or name.startswith("queue")]
    drawing.legend(60, 24, list(zip(shown, COLORS, strict=True)))
    for column, job_seconds in enumerate(JOB_SECONDS[1:]):
        left = 60 + 440 * column
        runs = [Service(rules()[name], load_of(job_seconds), SEEDS[0]).run() for name in shown]
        ages, pods = _Panel(drawing, left, 60, 100), _Panel(drawing, left, 320, 20)
        ages.frame(f"Oldest job in seconds, jobs of {job_seconds:g} s", (0, 20, 40, PROMISE_SECONDS, 80, 100))
        pods.frame(f"Workers, jobs of {job_seconds:g} s", (0, 5, 10, 15, 20))
        drawing.line([ages.at(0, PROMISE_SECONDS), ages.at(_Panel.SECONDS, PROMISE_SECONDS)], GRAY, 1, "4 3")
        for run, color in zip(runs, COLORS, strict=True):
            glances = run.glances[::DRAWN_EVERY]
            ages.curve([(glance.at, glance.oldest_seconds) for glance in glances], color)
            pods.curve([(glance.at, glance.pods) for glance in glances], color)
    return drawing.render()


def main() -> None:
    """Print the table, and draw the plot."""
    print("\n".join(table()))
    PLOT.write_text(draw(), "utf-8")


def _row(name: str, runs: list[list[Outcome]]) -> str:
    oldest = [f"{max(run.oldest_seconds for run in of_one):.0f} s" for of_one in runs]
    every = [run for of_one in runs for run in of_one]
    hours = sum(run.pod_hours for run in every) / len(every)
    return f"| {name} | {' | '.join(oldest)} | {hours:.1f} | {sum(run.interrupted for run in every)} |"


class _Panel:
    """A part of the drawing with axes of its own: seconds to the right, a value upwards."""

    WIDTH, HEIGHT, SECONDS = 380, 190, 1500

    def __init__(self, drawing: Drawing, left: float, top: float, most: float) -> None:
        self._drawing, self._left, self._top, self._most = drawing, left, top, most

    def at(self, seconds: float, value: float) -> Point:
        """Return the place of a value."""
        right = self._left + self.WIDTH * seconds / self.SECONDS
        return right, self._top + self.HEIGHT * (1 - value / self._most)

    def frame(self, title: str, values: tuple[float, ...]) -> None:
        """Draw title, scales and the time of the burst."""
        load = load_of(1)
        start, end = self.at(load.burst_at, 0), self.at(load.burst_at + load.burst_seconds, 0)
        self._drawing.bar(start[0], self._top, end[0] - start[0], self.HEIGHT, "#f6f8fa")
        self._drawing.text(self._left, self._top - 8, title, bold=True)
        for value in values:
            place = self.at(0, value)
            self._drawing.line([place, self.at(self.SECONDS, value)], PALE)
            self._drawing.text(place[0] - 6, place[1] + 4, f"{value:g}", "end", GRAY)
        for seconds in range(0, self.SECONDS + 1, 300):
            place = self.at(seconds, 0)
            self._drawing.text(place[0], place[1] + 18, f"{seconds // 60} min", "middle", GRAY)

    def curve(self, values: list[Point], color: str) -> None:
        """Draw a line through values at seconds."""
        self._drawing.line([self.at(*value) for value in values], color, 1.5)


if __name__ == "__main__":
    main()

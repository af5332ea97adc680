"""`python -m bench`: measures the service, the limit of this machine and other servers, and prints the table."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contestants import Contestant, Ours, OursCached, OursInt8
from bench.environments import NotInstalled, prepare_environment
from bench.measures import MEASURES, OTHER_SIZES
from bench.models import prepare_model
from bench.others import (
    BentoML,
    BentoMLPipeline,
    LitServe,
    LitServePipeline,
    Mosec,
    MosecPipeline,
    Original,
    Peer,
)
from bench.pictures import SIZES, prepare_pictures
from bench.plot import save
from bench.processes import ROOT
from bench.report import render
from bench.runner import Pictures, limit, say, visit

HERE = Path(__file__).parent
CONTESTANTS: list[type[Contestant]] = [
    *(Ours, Mosec, LitServe, BentoML, Original, OursCached, OursInt8),
    *(MosecPipeline, LitServePipeline, BentoMLPipeline),
]


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    model = prepare_model()
    chosen = [kind for kind in CONTESTANTS if not options.only or kind.name in options.only]
    missing = prepare_peers(chosen)
    say("preparing the pictures …")
    sizes = ["512"] if options.quick else list(SIZES)
    pictures: Pictures = dict(prepare_pictures(HERE / ".pictures", model, sizes, 40 if options.quick else None))
    results: dict[str, Any] = {"about": about(model, options), "missing": missing, "rounds": []}
    chosen = [kind for kind in chosen if kind.name not in missing]
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.2f}")
        results["rounds"].append(play_round(number, chosen, model, pictures, options))
    finish(results)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often everybody is measured (default: 3)")
    parser.add_argument("--seconds", type=float, help="how long one measure lasts (default: 6)")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(MEASURES), help="leave the others out")
    parser.add_argument("--quick", action="store_true", help="one round of a second each, small pictures: a try")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 6.0)
    return options


def prepare_peers(chosen: list[type[Contestant]]) -> dict[str, str]:
    """Make the peers' environments; return why some cannot be measured here."""
    missing = {}
    for kind in chosen:
        if issubclass(kind, Peer):
            try:
                prepare_environment(kind.environment)
            except NotInstalled as error:
                missing[kind.name] = f"does not install here: {error}"
                say(f"{kind.name} {missing[kind.name]}")
    return missing


def play_round(
    number: int, chosen: list[type[Contestant]], model: Path, pictures: Pictures, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure the limit, everybody in turn, and the limit again."""
    cores = os.cpu_count() or 1
    seed = 1000 * (number + 1)
    limits: dict[str, Any] = {
        "one core": limit(pictures["512"], model, 1, options.seconds, seed),
        "before": limit(pictures["512"], model, cores, options.seconds, seed),
    }
    for size in OTHER_SIZES if number == 0 and not options.quick else ():
        limits[size] = limit(pictures[size], model, cores, options.seconds, seed)
    contestants = {}
    for kind in chosen:
        short = options.quick or number > 0
        measures = [measure for measure in MEASURES[kind.name] if not (short and measure.first_round_only)]
        measures = [measure for measure in measures if measure.pictures in pictures]
        if measures:
            say(kind.name)
            contestant = kind(model, HERE / ".run" / f"{kind.name.replace(', ', '-')}", cores)
            contestants[kind.name] = visit(contestant, measures, pictures, options.seconds, seed)
    limits["after"] = limit(pictures["512"], model, cores, options.seconds, seed)
    said = {name: round(one["per_second"], 1) for name, one in limits.items()}
    say(f"limit: {said}")
    return {"limit": limits, "contestants": contestants, "load_average": os.getloadavg()[0]}


def about(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "processor": processor or platform.processor(),
        "python": platform.python_version(),
        "model": json.loads((model / "model.json").read_text("utf-8"))["name"],
        "rounds": options.rounds,
        "seconds": options.seconds,
        "quick": options.quick,
    }


def finish(results: dict[str, Any]) -> None:
    """Write the JSON, print the table, draw the plots."""
    name = time.strftime("%Y-%m-%d-%H%M%S")
    file = HERE / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    table = render(results)
    file.with_suffix(".txt").write_text(table, "utf-8")
    print(table)
    plots = save(file)
    say(" ".join(str(written) for written in (file, file.with_suffix(".txt"), *plots)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

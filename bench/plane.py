"""`python -m bench.plane`: the queue plane by itself, with an engine that costs nothing and one that sleeps."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from PIL import Image

from bench.contestants import Ours
from bench.measures import Measure, closed
from bench.pictures import Picture
from bench.plane_worker import LABEL, SLEEP
from bench.report import table
from bench.runner import Pictures, run, say

HERE = Path(__file__).parent
SLEEP_SECONDS = 0.1
WORKERS = (1, 2, 4, 8, 16)
CLIENTS = (1, 8, 16, 32)
PER_JOB = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")


class Plane(Ours):
    """This service with the stand-in."""

    name = "queue plane"
    worker_module = "bench.plane_worker"


def main() -> int:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.plane", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long one measure lasts (default: 6)")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="how many sleeping workers to try")
    options = parser.parse_args()
    pictures = _pictures()
    free = free_engine(pictures, options.seconds)
    sleeping = sleeping_engine(pictures, options.seconds, options.workers)
    report = f"{render_free(free)}\n\n{render_sleeping(sleeping)}\n"
    file = HERE / "results" / f"{time.strftime('%Y-%m-%d-%H%M%S')}-plane.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"free": free, "sleeping": sleeping}, indent=1) + "\n", "utf-8")
    file.with_suffix(".txt").write_text(report, "utf-8")
    print(report)
    return 0


def _pictures() -> Pictures:
    """Return one tiny picture and one of 512 px, each with the stand-in's label."""
    folder = HERE / ".pictures"
    folder.mkdir(exist_ok=True)
    tiny = folder / "tiny.jpg"
    Image.new("RGB", (16, 16), "red").save(tiny)
    large = folder / "large.jpg"
    Image.effect_noise((512, 512), 60).convert("RGB").save(large, quality=60)
    return {"tiny": [Picture(str(tiny), LABEL)], "512": [Picture(str(large), LABEL)]}


def _measured(plane: Plane, measure: Measure, pictures: Pictures, seconds: float) -> dict[str, Any]:
    """Run a measure; adds what Redis was asked a job."""
    client = redis.Redis(port=plane.redis_port)
    before, calls_before = client.info("stats"), client.info("commandstats")
    seen = run(plane, measure, pictures, seconds, 1, 0)
    after, calls_after = client.info("stats"), client.info("commandstats")
    seen["redis_per_job"] = {name: (after[name] - before[name]) / seen["jobs"] for name in PER_JOB}
    calls = {
        name.removeprefix("cmdstat_"): (found["calls"] - calls_before.get(name, {"calls": 0})["calls"]) / seen["jobs"]
        for name, found in calls_after.items()
    }
    seen["redis_calls_per_job"] = {name: round(count, 2) for name, count in calls.items() if count > 0.05}
    return seen


def _with_plane(body: Callable[[Plane], None], workers: int, processes: int, sleep_seconds: float) -> None:
    environ = {SLEEP: str(sleep_seconds), "MAX_OPEN_JOBS": "10000"}
    plane = Plane(HERE, HERE / ".run" / "plane", workers, **environ)
    plane.worker_processes = processes
    try:
        plane.start()
        time.sleep(1)
        body(plane)
    finally:
        plane.stop()


def free_engine(pictures: Pictures, seconds: float) -> dict[str, Any]:
    """Return throughput, Redis' share and processor time a job when a picture costs nothing."""
    found: dict[str, Any] = {}

    def body(plane: Plane) -> None:
        for size in pictures:
            for clients in CLIENTS:
                measure = Measure(f"{size}, {clients} clients", clients, pictures=size)
                found[measure.name] = _measured(plane, measure, pictures, seconds)
                say(f"{measure.name}: {found[measure.name]['per_second']:.1f}/s")

    _with_plane(body, os.cpu_count() or 1, 1, 0)
    return found


def sleeping_engine(pictures: Pictures, seconds: float, numbers: list[int]) -> dict[str, Any]:
    """Return throughput over so many workers of one child each, when a picture takes SLEEP_SECONDS."""
    found: dict[str, Any] = {}
    for workers in numbers:

        def body(plane: Plane, workers: int = workers) -> None:
            # Twice as many as are busy, so that there is always one that waits.
            found[str(workers)] = run(plane, closed(2 * workers + 2), pictures, seconds, 1, 0)

        _with_plane(body, 1, workers, SLEEP_SECONDS)
        say(f"{workers} workers: {found[str(workers)]['per_second']:.1f}/s")
    return found


def render_free(found: dict[str, Any]) -> str:
    """Return the table of the engine that costs nothing."""
    rows = [["engine that costs nothing", "jobs/s", "p50 ms", "p99 ms", "Redis commands", "KiB in", "KiB out"]]
    rows[0] += ["api", "redis", "parent", "child", "load", "errors"]
    for name, seen in found.items():
        asked = [seen["redis_per_job"][key] for key in PER_JOB]
        times = [seen["latency_ms"].get(key, 0.0) for key in ("p50", "p99")]
        values = [f"{seen['per_second']:.1f}", *(f"{value:.1f}" for value in times), f"{asked[0]:.1f}"]
        values += [f"{value / 1024:.1f}" for value in asked[1:]] + [f"{value:.2f}" for value in seen["cpu_ms"].values()]
        rows.append([name, *values, str(seen["jobs"] - seen["right"])])
    calls = list(found.values())[-1]["redis_calls_per_job"]
    said = ", ".join(f"{name} {count:g}" for name, count in sorted(calls.items(), key=lambda item: -item[1]))
    return f"{table(rows)}\nprocessor times in core-ms a job; Redis calls a job, those within scripts included: {said}"


def render_sleeping(found: dict[str, Any]) -> str:
    """Return the table of the engine that sleeps."""
    rows = [[f"workers of {SLEEP_SECONDS * 1000:g} ms a job", "jobs/s", "linear", "share", "core-ms a job", "errors"]]
    for workers, seen in found.items():
        linear = int(workers) / SLEEP_SECONDS
        cpu = sum(seen["cpu_ms"].values())
        share = f"{seen['per_second'] / linear:.2f}"
        errors = str(seen["jobs"] - seen["right"])
        rows.append([workers, f"{seen['per_second']:.1f}", f"{linear:.0f}", share, f"{cpu:.2f}", errors])
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

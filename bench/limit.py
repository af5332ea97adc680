"""`python -m bench.limit`: decode and LiteRT in a loop on so many cores, no server; what nothing can exceed."""

import json
import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.seen import percentiles
from bench.trace import Trace
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine
from worker.inference.model_folder import ModelFolder

WARM_PICTURES = 5


def main() -> None:
    """Read an order (pictures, model, processes, seconds, seed), run, print what was seen as JSON."""
    order = json.loads(sys.stdin.readline())
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(order["processes"])
    with context.Pool(order["processes"], initializer=_keep, initargs=(barrier,)) as pool:
        orders = [{**order, "seed": order["seed"] + place} for place in range(order["processes"])]
        seen = pool.map(_loop, orders, chunksize=1)
    times = [value for one in seen for value in one["times_ms"]]
    report = {
        "per_second": sum(one["per_second"] for one in seen),
        "cpu_ms": sum(one["cpu_seconds"] for one in seen) * 1000 / len(times),
        "time_ms": percentiles(times),
        "wrong": sum(one["wrong"] for one in seen),
    }
    print(json.dumps(report), flush=True)


_kept: list[Barrier] = []


def _keep(barrier: Barrier) -> None:
    _kept.append(barrier)


def _loop(order: dict[str, Any]) -> dict[str, Any]:
    folder = ModelFolder.open(Path(order["model"]))
    classifier = Classifier(load_engine("litert", folder), folder)
    items = iter(Trace(order["pictures"], "", "", order["seed"], 0.0))
    for _ in range(WARM_PICTURES):
        classifier.classify(b"".join(next(items).parts), 3)
    times: list[float] = []
    wrong = 0
    _kept[0].wait()
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < began + order["seconds"]:
        item = next(items)
        data = b"".join(item.parts)
        start = time.perf_counter()
        wrong += classifier.classify(data, 3)[0].label != item.label
        times.append((time.perf_counter() - start) * 1000)
    spent = time.perf_counter() - began
    used = time.process_time() - cpu
    return {"per_second": len(times) / spent, "cpu_seconds": used, "times_ms": times, "wrong": wrong}


if __name__ == "__main__":
    main()

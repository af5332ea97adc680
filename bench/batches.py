"""`python -m bench.batches`: the batch worker (ENGINE=tensorflow) against its bare model, on a GPU if there is one.

It prints pictures a second of the bare model by batch size, of decoding on a core, and of the whole service.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contestants import Ours
from bench.measures import closed
from bench.models import prepare_model
from bench.pictures import Picture, prepare_pictures
from bench.report import table
from bench.runner import run, say
from worker.decoding.decode import as_input, decode_pixels
from worker.inference.engines import load_engine
from worker.inference.model_folder import ModelFolder

HERE = Path(__file__).parent
BATCHES = (1, 4, 8, 16, 32, 64, 128)


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.batches", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long one measure lasts (default: 6)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="sizes of the bare model's batches")
    parser.add_argument("--max-batch", type=int, nargs="+", default=(8, 32), help="values of MAX_BATCH for the service")
    options = parser.parse_args()
    model = prepare_model()
    pictures = prepare_pictures(HERE / ".pictures", model, ["512"])["512"]
    bare, decoded = measure_parts(model, pictures, options.batches, options.seconds)
    best = max(bare.values())
    rows = [
        ["bare model, pictures in a batch", "pictures/s"],
        *([str(size), f"{rate:.0f}"] for size, rate in bare.items()),
    ]
    print(table(rows))
    print(f"\none core decodes {decoded:.0f} pictures/s: {best / decoded:.1f} cores feed the bare model\n")
    rows = [["service, MAX_BATCH", "pictures/s", "/ bare model", "core-ms a picture", "wrong"]]
    for most in options.max_batch:
        seen = measure_service(model, pictures, most, options.seconds)
        cpu = sum(value for role, value in seen["cpu_ms"].items() if role != "load generator")
        rate = seen["per_second"]
        rows.append([str(most), f"{rate:.0f}", f"{rate / best:.2f}", f"{cpu:.2f}", str(seen["wrong"])])
    print(table(rows))
    return 0


def measure_parts(
    model: Path, pictures: list[Picture], sizes: list[int], seconds: float
) -> tuple[dict[int, float], float]:
    """Return pictures a second of the bare model by batch size, and of decoding."""
    folder = ModelFolder.open(model)
    engine = load_engine("tensorflow", folder)
    files = [Path(picture.path).read_bytes() for picture in pictures]
    height, width = folder.manifest.input_height, folder.manifest.input_width
    decoded = _rate(lambda number: decode_pixels(files[number % len(files)], height, width), 1, seconds)
    some: NDArray[np.float32] = np.stack([as_input(decode_pixels(data, height, width)) for data in files[:8]])
    bare = {}
    for size in sizes:
        batch = np.resize(some, (size, height, width, 3))
        bare[size] = _rate(lambda _number, batch=batch: engine.logits(batch), size, seconds)  # type: ignore[misc]
        say(f"batches of {size}: {bare[size]:.0f} pictures/s")
    return bare, decoded


def _rate(step: Callable[[int], object], pictures: int, seconds: float) -> float:
    """Return the pictures a second of a step that handles so many; the first calls, which may tune, are not counted."""
    step(0)
    step(1)
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        step(count)
        count += 1
    return count * pictures / (time.perf_counter() - began)


def measure_service(model: Path, pictures: list[Picture], most: int, seconds: float) -> dict[str, object]:
    """Return what the load generator saw with enough clients to fill the batches."""
    settings = {"ENGINE": "tensorflow", "MAX_BATCH": str(most), "MAX_OPEN_JOBS": "10000"}
    service = Ours(model, HERE / ".run" / "batches", os.cpu_count() or 1, **settings)
    try:
        service.start()
        run(service, closed(4 * most), {"512": pictures}, 2, 0, 0)
        return run(service, closed(4 * most), {"512": pictures}, seconds, 1, 0)
    finally:
        service.stop()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.simulation SEEDS [FIRST]`: runs so many simulated worlds and reports; `--trace SEED` replays one."""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import redis

from tests.simulation.ledger import Broken
from tests.simulation.progress import Progress
from tests.simulation.scenario import Scenario, explained
from tests.support.processes import RedisServer

CHUNK = 100


def main() -> int:
    # Every run tells of a hundred failures that it brings about.
    logging.disable()
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("seeds", type=int, nargs="?", default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--trace", type=int, help="replay this seed and print every step")
    options = parser.parse_args()
    if options.trace is not None:
        return trace(options.trace)
    began = time.monotonic()
    steps, failures, progress = 0, {}, Progress(options.seeds)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        last = options.first + options.seeds
        chunks = [(first, min(first + CHUNK, last)) for first in range(options.first, last, CHUNK)]
        running = {pool.submit(run_seeds, *chunk): chunk for chunk in chunks}
        for done in as_completed(running):
            found, counted = done.result()
            failures.update(found)
            steps += counted
            first, end = running[done]
            progress.add(end - first, len(failures))
    seconds = time.monotonic() - began
    print(f"{options.seeds} schedules, {steps} steps, {len(failures)} failed, {seconds:.0f} s")
    for kind, count in Counter(why.partition("\n")[0] for why in failures.values()).most_common(20):
        print(f"{count:6}  {kind}")
    if failures:
        print("seeds:", *sorted(failures))
    for seed in sorted(failures)[:3]:
        print(f"\nmake simulate TRACE={seed}\n{failures[seed]}")
    return 1 if failures else 0


def run_seeds(first: int, last: int) -> tuple[dict[int, str], int]:
    """Run the seeds from `first` to before `last`; return what failed, and the number of steps."""
    failures, steps = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *on_socket(folder))
        try:
            with client_of(folder) as client:
                for seed in range(first, last):
                    scenario = Scenario(seed, client)
                    try:
                        with explained(seed, scenario):
                            scenario.run()
                    except (Exception, Broken) as error:
                        failures[seed] = "\n".join([f"{type(error).__name__}: {error}", *error.__notes__])
                    steps += scenario.world.steps
        finally:
            server.kill()
    return failures, steps


def on_socket(folder: str) -> tuple[str, ...]:
    """Return the options of a server that keeps nothing and listens on a Unix socket too, which takes less time."""
    return "--unixsocket", f"{folder}/socket", "--appendonly", "no"


def client_of(folder: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=f"{folder}/socket", decode_responses=True)


def trace(seed: int) -> int:
    """Replay a seed and print every step."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *on_socket(folder))
        try:
            with client_of(folder) as client:
                scenario = Scenario(seed, client)
                try:
                    scenario.run()
                finally:
                    print("\n".join(scenario.world.trace))
        finally:
            server.kill()
    print(f"seed {seed}, {scenario.weather}: all invariants hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())

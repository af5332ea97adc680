"""One visit of one contestant: start it, warm it, measure, look at its memory, stop it."""

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from bench.contestants import Contestant, Ours
from bench.measures import Measure, closed
from bench.pictures import Picture
from bench.processes import ROOT, NotReady, cpu_seconds, machine_seconds, memory_mib
from bench.seen import WARM_SECONDS

READY_SECONDS = 120
OPEN_KEY = "jobs:open"

Pictures = dict[str, list[Picture]]


def visit(
    contestant: Contestant, measures: list[Measure], pictures: Pictures, seconds: float, seed: int
) -> dict[str, Any]:
    """Return start times, memory and what each measure gave; `failed` says why where it could not be run."""
    runs: dict[str, Any] = {}
    result: dict[str, Any] = {"start_seconds": contestant.start_seconds, "runs": runs}
    began = time.monotonic()
    try:
        contestant.start()
        _warm(contestant, pictures)
        contestant.start_seconds["first answers"] = time.monotonic() - began
        for number, measure in enumerate(measures):
            peak = max((run["per_second"] for run in runs.values()), default=0.0)
            runs[measure.name] = run(contestant, measure, pictures, seconds, seed + number, peak)
            say(f"  {measure.name}: {summary(runs[measure.name])}")
        result["memory_mib"] = {
            role: [round(memory_mib(pid), 1) for pid in pids] for role, pids in contestant.roles().items()
        }
    except (NotReady, OSError) as error:
        result["failed"] = str(error) or type(error).__name__
        say(f"  failed: {result['failed']}")
    finally:
        contestant.stop()
    return result


def _warm(contestant: Contestant, pictures: Pictures) -> None:
    """Ask until it answers right, then a second longer by more clients, so that every worker is warm."""
    deadline = time.monotonic() + READY_SECONDS
    while run(contestant, closed(1), pictures, 0.1, 0, 0)["right"] == 0:
        if time.monotonic() > deadline:
            raise NotReady(f"no right answer within {READY_SECONDS} s")
        time.sleep(0.2)
    run(contestant, closed(8), pictures, 1, 0, 0)


def run(
    contestant: Contestant, measure: Measure, pictures: Pictures, seconds: float, seed: int, peak: float
) -> dict[str, Any]:
    """Run the load generator once; adds each role's processor time a job, in milliseconds."""
    order = {
        "port": contestant.port,
        "pictures": [[picture.path, picture.label] for picture in pictures[measure.pictures]],
        "path": contestant.door.path,
        "form_field": contestant.door.form_field,
        "headers": measure.headers,
        "seed": seed,
        "repeats": measure.repeats,
        "mode": "open" if measure.load else "closed",
        "clients": measure.clients,
        "rate": peak * measure.load,
        "seconds": seconds,
        "poll": {"headers": measure.poll_headers, "seconds": measure.poll_seconds},
    }
    roles = contestant.roles()
    with Generator(order) as generator:
        before, busy, idle = {role: cpu_seconds(pids) for role, pids in roles.items()}, *machine_seconds()
        with QueueWatch(contestant) as watch:
            seen = generator.go()
        busy, idle = (now - then for now, then in zip(machine_seconds(), (busy, idle), strict=True))
        used = {role: cpu_seconds(pids) - before[role] for role, pids in roles.items()}
    jobs = max(1, seen["jobs"])
    seen["cpu_ms"] = {role: seconds * 1000 / jobs for role, seconds in used.items()}
    seen["idle_cores"] = idle / seen["elapsed_seconds"]
    # What nobody here used: the kernel's own work, and whatever else runs on this machine.
    seen["foreign_cores"] = max(0.0, busy - sum(used.values()) - seen["cpu_seconds"]) / seen["elapsed_seconds"]
    seen["cpu_ms"]["load generator"] = seen["cpu_seconds"] * 1000 / jobs
    seen["load_generator_share"] = seen["cpu_seconds"] / seen["elapsed_seconds"]
    seen["drain_seconds"] = max(0.0, seen["elapsed_seconds"] - WARM_SECONDS - seconds)
    seen["rate"] = order["rate"]
    seen["most_open_jobs"] = watch.most
    return dict(seen)


class Generator:
    """The load generator's process."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order

    def __enter__(self) -> "Generator":
        command = [sys.executable, "-m", "bench.load"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._tell(json.dumps(self._order))
        self._hear()
        return self

    def go(self) -> dict[str, Any]:
        """Let it run, and return what it saw."""
        self._tell("go")
        return dict(json.loads(self._hear()))

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotReady("the load generator ended")
        return line


class QueueWatch:
    """Looks, now and then, how many jobs of the service are open."""

    def __init__(self, contestant: Contestant) -> None:
        self.most = 0
        self._over = threading.Event()
        port = contestant.redis_port if isinstance(contestant, Ours) else 0
        self._client = redis.Redis(port=port) if port else None

    def __enter__(self) -> "QueueWatch":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while self._client is not None and not self._over.wait(0.25):
            with suppress(redis.RedisError):
                self.most = max(self.most, int(self._client.zcard(OPEN_KEY)))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def limit(pictures: list[Picture], model: Path, processes: int, seconds: float, seed: int) -> dict[str, Any]:
    """Run decode and LiteRT on so many processes without any server."""
    order = {
        "pictures": [[picture.path, picture.label] for picture in pictures],
        "model": str(model),
        "processes": processes,
        "seconds": seconds,
        "seed": seed,
    }
    command = [sys.executable, "-m", "bench.limit"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(order), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def summary(seen: dict[str, Any]) -> str:
    """Return one line for those who watch."""
    latency = seen["latency_ms"]
    times = f", p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms" if latency else ""
    return f"{seen['per_second']:.1f}/s{times}, {seen['statuses']}, {seen['wrong']} wrong"


def say(line: str) -> None:
    """Tell those who watch."""
    print(line, file=sys.stderr, flush=True)

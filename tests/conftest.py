"""What all tests share: a real server, prepared models, a running service."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.images.inspect import set_up_pillow
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT

# A shell that runs the tests in the background has them ignore Ctrl-C, and all that they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where commands of the tests remember their batches.
STATE = "XDG_STATE_HOME"
# Places in `model_dirs`.
MODELS = [0, 1] if "TOPTHREE_TEST_MODEL" in os.environ else [0]


@pytest.fixture(scope="session", autouse=True)
def _pillow() -> None:
    set_up_pillow()


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE, str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """A client that decodes its answers, on a server that is empty."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may break; nothing else uses it."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


def prepare(model: str) -> Path:
    command = [sys.executable, "-m", "worker.prepare", "--model", model]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return ROOT / done.stdout.strip()


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """Real weights that need no network beyond the package that carries them."""
    return prepare("efficientnet_lite0")


@pytest.fixture(scope="session")
def model_dirs(model_dir: Path) -> list[Path]:
    """The same, and the SavedModel in TOPTHREE_TEST_MODEL if there is one."""
    given = os.environ.get("TOPTHREE_TEST_MODEL")
    return [model_dir, prepare(str(Path(given).resolve()))] if given else [model_dir]


@pytest.fixture(scope="session")
def service_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server under `service`."""
    server = RedisServer(tmp_path_factory.mktemp("service-redis"))
    yield server
    server.kill()


@pytest.fixture(scope="session", params=MODELS, ids=["efficientnet_lite0", "given model"].__getitem__)
def service(
    request: pytest.FixtureRequest,
    service_redis: RedisServer,
    model_dirs: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """An API and one worker with real weights, over a server of their own; once for each model there is."""
    service = Service(service_redis.url, tmp_path_factory.mktemp("service"), model_dirs[request.param])
    service.start_api()
    service.start_worker()
    service.wait_ready()
    yield service
    service.stop()
    # Its record would outlive it by some seconds.
    with service_redis.client() as client:
        client.flushall()

"""The web application over a fake Redis: no server, no worker."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, ClassVar

import fakeredis
import pytest
from flask.testing import FlaskClient
from PIL import Image

from api import admission_control
from api.admission_control import AdmissionControl
from api.app import create_app
from api.job_submission import JobSubmission
from api.ready_workers import ReadyWorkers
from api.services import Services
from api.waiters import Waiters
from shared.jobs.queue import QUEUE_NAME, Queue
from shared.jobs.store import Jobs
from shared.settings import Settings
from shared.worker_registry import WorkerRecord, WorkerRegistry
from tests.support.contract import Contract
from tests.support.messages import job_of

LAST = "last"


@cache
def contract() -> Contract:
    return Contract()


class CheckedClient(FlaskClient):
    """A client for which every answer must be one that the contract has."""

    def open(self, *args: Any, **options: Any) -> Any:
        answer = super().open(*args, **options)
        contract().check(answer.request.method, answer.request.path, decoded(answer))
        return answer


def decoded(answer: Any) -> Any:
    """Return the answer as libraries for clients would, which decompress its body."""
    if answer.headers.get("Content-Encoding") != "gzip":
        return answer
    other = copy(answer)
    other.headers = answer.headers.copy()
    other.set_data(gzip.decompress(answer.data))
    return other


class FakeRedis(fakeredis.FakeRedis):
    """fakeredis knows no INFO; this one answers what it is given."""

    answer: ClassVar[dict[str, Any]] = {"used_memory": 50, "maxmemory": 0}

    def info(self) -> dict[str, Any]:
        self.ping()
        return dict(self.answer)


@dataclass
class Bench:
    """The application with its parts in reach."""

    http: FlaskClient
    jobs: Jobs
    admission_control: AdmissionControl
    submission: JobSubmission
    waiters: Waiters
    ready_workers: ReadyWorkers
    redis: Any

    def upload(self, data: bytes, **options: Any) -> Any:
        return self.http.post("/upload", data={"image": (BytesIO(data), "picture.png")}, **options)

    @property
    def registry(self) -> WorkerRegistry:
        return WorkerRegistry(self.redis, Queue())

    def worker_beats(self, name: str = "w1", answers: str = "litert-1:d") -> None:
        """Register a worker as ready, and let the API read the ready workers."""
        self.registry.beat(worker_record(name, answers))
        self.ready_workers.read()

    def lose_redis(self) -> None:
        """Make Redis unreachable."""
        self.redis.connection_pool.connection_kwargs["server"].connected = False

    def restore_redis(self) -> None:
        self.redis.connection_pool.connection_kwargs["server"].connected = True

    @property
    def published(self) -> list[str]:
        """The ids of the jobs in the queue, the next one first."""
        return [job_of(message) for message in reversed(self.redis.lrange(QUEUE_NAME, 0, -1))]

    @contextmanager
    def worker(self, finish: Callable[[str], object]) -> Iterator[None]:
        """End each job with `finish` as soon as it is published, as a very fast worker would."""

        def work() -> None:
            while (message := self.redis.brpop(QUEUE_NAME)[1]) != LAST:
                finish(job_of(message))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            self.redis.lpush(QUEUE_NAME, LAST)
            thread.join()


def worker_record(name: str = "w1", answers: str = "litert-1:d") -> WorkerRecord:
    return WorkerRecord(name, "litert", "m", "d", answers, 1)


def make_bench(client: Any = None, **settings: Any) -> Bench:
    """Return an application with these settings; on the Redis of `client`, if there is one."""
    # Reading the contract takes seconds; tests that measure the first answer must not include it.
    contract()
    client = client or FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)
    chosen = Settings.from_environ({name.upper(): str(value) for name, value in settings.items()})
    services = Services.from_settings(chosen, client)
    app = create_app(services)
    app.test_client_class = CheckedClient
    return Bench(
        app.test_client(),
        services.jobs,
        services.admission_control,
        services.submission,
        services.waiters,
        services.ready_workers,
        client,
    )


@pytest.fixture(autouse=True)
def _fresh_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Admission control reads the backlog at every request."""
    monkeypatch.setattr(admission_control, "BACKLOG_SECONDS", 0)


@pytest.fixture
def bench() -> Bench:
    return make_bench(max_image_bytes=50_000, max_image_pixels=10_000, max_open_jobs=2, wait_seconds=0.05)


@pytest.fixture
def png() -> bytes:
    return encode("PNG")


def encode(name: str, size: tuple[int, int] = (60, 40)) -> bytes:
    buffer = BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, name)
    return buffer.getvalue()

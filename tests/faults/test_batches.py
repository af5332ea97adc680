"""Workers that form batches lose decoders and are killed themselves, over and over."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.checks import settle
from tests.faults.conftest import Scale
from tests.support.batch_worker import BATCH_SECONDS, make_picture
from tests.support.fault_case import Expected, History
from tests.support.processes import RedisServer
from tests.support.supervised import SupervisedService, alive, children, kill_process, outlast, random_child
from tests.support.wait import eventually
from worker.inference.model_folder import ModelFolder


class BatchService(SupervisedService):
    """A supervised service whose workers form batches, with a stand-in for the network."""

    worker_module = "tests.support.batch_worker"


@pytest.fixture
def service(server: RedisServer, model_dir: Path, tmp_path: Path) -> Iterator[BatchService]:
    settings = {"WORKERS": "2", "JOB_TIME_LIMIT_SECONDS": "5", "JOB_ATTEMPTS": "10", BATCH_SECONDS: "0.2"}
    service = BatchService(server.url, tmp_path / "service", model_dir, ENGINE="tensorflow", **settings)
    yield service
    service.stop()


def test_decoders_and_workers_with_batches_are_killed(
    service: BatchService, server: RedisServer, model_dir: Path, scale: Scale
) -> None:
    # Given two workers with batches under load
    labels = ModelFolder.open(model_dir).labels
    service.start(workers=2)
    case = History("batches: decoder and worker SIGKILL", scale.name, service)
    orphans: list[int] = []

    def picture() -> tuple[bytes, Expected]:
        grey = random.randrange(256)
        return make_picture(grey), Expected(label=labels[grey])

    with case.traffic(scale.jobs, picture, per_second=40):
        for _ in range(scale.worker_kills):
            # When decoders are killed, and then a worker with jobs in hand
            for _ in service.workers:
                # Any worker that there is now: one whose decoder was killed while it started has been replaced.
                decoder = eventually(lambda: random_child(random.choice(service.workers)), 30, "a decoder to kill")
                with suppress(ProcessLookupError):
                    os.kill(decoder, signal.SIGKILL)
            outlast(random.uniform(0, 0.5))
            victim, before = random.choice(service.workers), service.restarts
            orphans += children(victim.pid)
            kill_process(victim)
            eventually(lambda before=before: service.restarts > before, 30, "a new worker")
    # Then every job is answered rightly
    row = settle(case, server)
    # A worker whose decoder is killed while it starts ends too.
    assert row.restarted >= scale.worker_kills
    # And the decoders that have lost their worker have gone
    eventually(lambda: not any(map(alive, orphans)), 10, "the end of all orphans")

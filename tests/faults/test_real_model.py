"""The same faults with a real model: its answers stay what they were, and without it nobody is told a lie."""

import io
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.faults.checks import check_recovery, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History
from tests.support.processes import RedisServer
from tests.support.repository import ROOT
from tests.support.supervised import SupervisedService, children, outlast, random_child
from tests.support.wait import eventually

TRAFFIC_LIGHT = ROOT / "examples" / "traffic_light.png"
MODEL_FILES = ("model.json", "labels.txt", "model.tflite")
MODEL_FILE = "model.tflite"


@pytest.fixture
def folder(model_dir: Path, tmp_path: Path) -> Path:
    """A model of one's own."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in MODEL_FILES:
        shutil.copy(model_dir / name, folder / name)
    return folder


@pytest.fixture
def service(server: RedisServer, folder: Path, tmp_path: Path) -> Iterator[SupervisedService]:
    service = SupervisedService(server.url, tmp_path / "service", folder)
    yield service
    service.stop()


def known_pictures(service: SupervisedService) -> list[tuple[bytes, Expected]]:
    """Return pictures and what the model says of them while nothing is wrong."""
    known = []
    with Image.open(TRAFFIC_LIGHT) as picture:
        for turn in range(4):
            file = io.BytesIO()
            picture.convert("RGB").rotate(90 * turn).save(file, "PNG")
            label = service.upload(file.getvalue()).json()["prediction_1"]["predicted_label"]
            known.append((file.getvalue(), Expected(label=label)))
    return known


def test_children_and_redis_die_under_a_real_model(
    service: SupervisedService, server: RedisServer, scale: Scale
) -> None:
    # Given two workers with a real model
    service.start(workers=2)
    known = known_pictures(service)
    case = History("real model: child SIGKILL, Redis kill -9", scale.name, service)
    with case.traffic(scale.jobs, lambda: random.choice(known)):
        for _ in range(scale.restarts):
            # When children die, and then Redis
            for worker in service.workers:
                child = eventually(lambda worker=worker: random_child(worker), 30, "a child to kill")
                os.kill(child, signal.SIGKILL)
            outlast(random.uniform(0, 1))
            server.kill()
            server.start()
            check_recovery(service, workers=2)
    # Then every answer is the one it always was
    settle(case, server)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_the_model_goes_while_the_worker_runs(
    service: SupervisedService, server: RedisServer, folder: Path, tmp_path: Path, scale: Scale, damage: str
) -> None:
    # Given a worker with a real model
    service.start()
    known = known_pictures(service)
    case = History(f"model folder {damage}", scale.name, service)
    kept = tmp_path / "kept"
    with case.traffic(scale.jobs, lambda: random.choice(known)):
        eventually(lambda: len(case.accepted) > 10, 60, "a load")
        # When its model goes, and its child dies, so that the next one finds none
        (folder / MODEL_FILE).rename(kept)
        if damage == "damaged":
            (folder / MODEL_FILE).write_bytes(kept.read_bytes()[:-1000])
        for child in children(service.workers[0].pid):
            os.kill(child, signal.SIGKILL)
        # Then the worker says so and ends, again and again, and nobody is told that it is ready
        eventually(lambda: "make model" in service.workers[0].output, 60, "a line about the model")
        eventually(lambda: service.restarts >= 2, 60, "new tries")
        eventually(lambda: not service.ready_workers(), 60, "a readiness that tells of no worker")
        # And uploads are accepted and wait; when the model is back, so is the worker
        before = len(case.accepted)
        eventually(lambda: len(case.accepted) > before, 30, "accepted uploads")
        kept.replace(folder / MODEL_FILE)
        service.wait_ready(1)
    settle(case, server)

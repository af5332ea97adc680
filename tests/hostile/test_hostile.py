"""Thousands of hostile and odd files go through the whole service, and none of them harms it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from tests.hostile import bombs, mutations, oddities, pillow_source
from tests.hostile.case import Case
from tests.hostile.gauntlet import Gauntlet, table
from tests.hostile.memory import MEBIBYTE, Peaks
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT

JOB_MEMORY = 1024 * MEBIBYTE
# What a process may have in all. A child: what it had at rest, what a job may take, and what is no data (libraries that
# are read in later).
CHILD_MARGIN = 128 * MEBIBYTE
API_LIMIT = 384 * MEBIBYTE
PARENT_LIMIT = 256 * MEBIBYTE
TABLE = ROOT / "artifacts" / "hostile.md"


@dataclass(frozen=True)
class Scale:
    """How many mutations and truncations every kind of picture gets, and whether Pillow's images are sent."""

    mutations: int
    truncations: int
    pillow: bool


SCALES = {"full": Scale(70, 12, True), "short": Scale(6, 3, False)}


@pytest.fixture(scope="module")
def scale() -> Scale:
    return SCALES[os.environ.get("TOPTHREE_HOSTILE") or "full"]


@pytest.fixture
def attacked(redis_server: RedisServer, tmp_path: Path, model_dir: Path) -> Iterator[Service]:
    """An API and a worker with two children and real weights, under the default limits."""
    with redis_server.client() as client:
        client.flushall()
    service = Service(redis_server.url, tmp_path / "service", model_dir, WORKERS="2")
    service.start_api()
    service.start_worker()
    service.wait_ready()
    yield service
    service.stop()


@pytest.fixture
def pillows(scale: Scale) -> tuple[list[Case], str]:
    """Pillow's test images, or none and the sentence why not."""
    try:
        return (list(pillow_source.images()) if scale.pillow else []), ""
    except pillow_source.NotFetched as error:
        return [], str(error)


def test_no_file_harms_the_service(attacked: Service, scale: Scale, pillows: tuple[list[Case], str]) -> None:
    # Given a service, and hostile files of every format
    images, not_fetched = pillows
    cases: Iterator[Case] = chain(
        bombs.bombs(),
        oddities.turned(),
        oddities.polyglots(),
        oddities.lies(),
        mutations.truncated(scale.truncations),
        mutations.mutated(scale.mutations),
        images,
    )
    assert attacked.api is not None
    gauntlet = Gauntlet(attacked)
    # When all of them are sent, and a good picture after every hundred
    with Peaks(attacked.api.pid, attacked.workers[0].pid) as peaks:
        gauntlet.send(cases)
    # Then each was refused, answered, or failed with a reason that is the picture's, in time
    figures = "".join(f"{name}: {peak // MEBIBYTE} MiB\n" for name, peak in peaks.bytes.items())
    figures += f"a child at rest: {peaks.child_at_rest // MEBIBYTE} MiB; children in all: {len(peaks.children_seen)}\n"
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table(gauntlet.ended) + "\n" + figures, "utf-8")
    print("\n" + table(gauntlet.ended) + "\n" + figures)
    assert not gauntlet.wrong, "\n".join(gauntlet.wrong)
    # And neither the API nor the worker's parent died
    assert attacked.api.running
    assert attacked.workers[0].running
    # And no process took more memory than it may
    assert peaks.bytes["API"] < API_LIMIT
    assert peaks.bytes["worker parent"] < PARENT_LIMIT
    assert peaks.bytes["worker children"] < peaks.child_at_rest + JOB_MEMORY + CHILD_MARGIN
    # And there were as many as were promised
    assert not not_fetched, f"All is well, but {len(gauntlet.ended)} files are not all there are. {not_fetched}"
    if scale.pillow:
        assert len(gauntlet.ended) >= 3000

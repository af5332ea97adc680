"""Upgrades by the commands of the guide, with versions that differ in the format of job records; nothing is lost."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.conftest import Pictures
from tests.compose.traffic import Seen, traffic
from tests.support.docker import Engine, Stack
from tests.support.documentation import blocks
from tests.support.reader import Reader
from tests.support.wait import eventually

GUIDE = "docs/operations.md"
SERVICES = ("api", "worker")
CLIENTS = 2
# A newer version: what it writes older workers do not know.
NEWER = """
FROM {image}
USER root
WORKDIR /app/shared/jobs
RUN sed -i 's/^FORMAT_VERSION = 1$/FORMAT_VERSION = 3/' models.py && grep -q '= 3$' models.py
WORKDIR /app
USER 10001:10001
"""


class Host:
    """A host with two versions of the images, and the guide to change between them."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self.stack: Stack = reader.stack

    def make_versions(self) -> None:
        """Keep the old images as the guide says, and put newer ones under the names that it rolls to."""
        self.follow("docker tag topthree-api topthree-api:before")
        for service in SERVICES:
            image = f"{self.stack.project}-{service}"
            file = self._folder / service
            file.write_text(NEWER.format(image=f"{image}:before"), "utf-8")
            self.stack.engine.run("build", "--tag", f"{image}:newer", "--file", str(file), str(self._folder))

    def follow(self, part: str) -> None:
        """Run the command of the guide that begins with, or has a line, `part`."""
        [block] = [block for block in blocks() if block.page == GUIDE and block.text.startswith(part)]
        self._reader.follow(block)

    def name(self, version: str, *services: str) -> None:
        """Have the images that the guide rolls to be of this version."""
        for service in services:
            image = f"{self.stack.project}-{service}"
            self.stack.engine.run("tag", f"{image}:{version}", image)

    def roll_workers(self) -> None:
        self.follow("docker compose up --detach --no-build --no-deps --wait --scale worker=3 worker")
        self.stack.wait_ready(3)

    def roll_api(self) -> None:
        self.follow("docker compose up --detach --no-build --no-deps --wait api")

    def format_version(self, job: str) -> str:
        return self.stack.run("exec", "-T", "redis", "redis-cli", "hget", f"job:{job}", "format_version").strip()

    def oldest_job_seconds(self) -> float:
        found = re.search(r"^topthree_oldest_job_seconds (\S+)", self.stack.get("/metrics").text, re.MULTILINE)
        assert found
        return float(found[1])


@pytest.fixture(scope="module")
def host(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Reader(engine, tmp_path_factory.mktemp("reader")) as reader:
        host = Host(reader, tmp_path_factory.mktemp("newer"))
        reader.stack.run("up", "--build", "--detach", "--wait", "--scale", "worker=3")
        try:
            host.make_versions()
            yield host
        finally:
            reader.stack.down()
            images = [f"{reader.stack.project}-{service}:{v}" for service in SERVICES for v in ("before", "newer")]
            engine.call("image", "rm", *images)


@pytest.fixture
def before(host: Host) -> Host:
    """All of it is of the old version."""
    host.name("before", *SERVICES)
    host.roll_workers()
    host.roll_api()
    return host


def assert_none_lost(stack: Stack, seen: Seen) -> None:
    """Every upload is one job, and every job ended well with its first attempt."""
    print("clients saw", dict(seen.told), "for", seen.uploads, "uploads")
    assert len(set(seen.jobs)) == len(seen.jobs) == seen.uploads
    records = stack.results(seen.jobs, seconds=60)
    assert Counter((record["status"], record["attempts"]) for record in records) == {("succeeded", 1): seen.uploads}
    assert set(seen.told) <= {"200", "202", "503", "504", "connection"}


def test_neither_an_upgrade_nor_the_way_back_loses_anything(before: Host, pictures: Pictures) -> None:
    # Given clients that upload
    with traffic(before.stack, pictures(1)[0], CLIENTS) as seen:
        first = seen.jobs[0]
        # When first the workers are upgraded and then the API
        before.name("newer", *SERVICES)
        before.roll_workers()
        before.roll_api()
    # Then both versions have written jobs, and all have ended well
    assert (before.format_version(first), before.format_version(seen.jobs[-1])) == ("1", "3")
    assert_none_lost(before.stack, seen)
    # And when the API goes back and then, with its newer jobs done, the workers
    with traffic(before.stack, pictures(1)[0], CLIENTS) as seen:
        first = seen.jobs[0]
        before.follow("docker tag topthree-api:before topthree-api\n")
        began = time.monotonic()
        eventually(lambda: before.oldest_job_seconds() < time.monotonic() - began, 60, "a queue without newer jobs")
        before.follow("docker tag topthree-worker:before topthree-worker\n")
    # Then that is so once more
    assert (before.format_version(first), before.format_version(seen.jobs[-1])) == ("3", "1")
    assert_none_lost(before.stack, seen)


def test_a_job_of_a_newer_api_waits_for_a_newer_worker(before: Host, pictures: Pictures) -> None:
    # Given an API that was upgraded before the workers, against the guide's advice
    before.name("newer", "api")
    before.roll_api()
    # When a job comes, Then each of the old workers leaves it alone
    job = before.stack.accept(pictures(1)[0])
    dropped = re.compile(rf'"A (?:delivery|message) was dropped.*{job}')
    eventually(lambda: dropped.search(before.stack.run("logs", "worker")), 30, "a delivery that is dropped")
    assert before.stack.get(f"/result/{job}").json()["status"] == "queued"
    # And when the workers are upgraded, it is done, with its first attempt
    before.name("newer", "worker")
    before.roll_workers()
    [record] = before.stack.results([job], seconds=60)
    assert (record["status"], record["attempts"]) == ("succeeded", 1)

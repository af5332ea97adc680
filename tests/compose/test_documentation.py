"""Every command of the documentation that needs a Docker engine is run, as it is written, on a real one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.compose.conftest import Pictures
from tests.support.docker import Engine, Stack
from tests.support.documentation import blocks
from tests.support.monitoring_images import provide_monitoring_images
from tests.support.reader import Reader, Step

OPERATIONS = "docs/operations.md"
# Pages whose commands are run by tests of their own, beside this file.
ELSEWHERE = {
    OPERATIONS: "test_documentation.py",
    "docs/how-to/s3.md": "test_s3.py",
    "docs/how-to/air-gapped.md": "test_air_gapped.py",
    "docs/how-to/several-apis.md": "test_several_apis.py",
}
PAGES = sorted({block.page for block in blocks() if block.needs_engine})


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_the_commands_of_a_page_work(engine: Engine, page: str, model_dir: Path, tmp_path: Path) -> None:
    # Given a checkout in which a model was prepared
    shutil.copytree(model_dir, tmp_path / "models" / model_dir.name)
    # When a page is followed, Then each of its commands works
    with Reader(engine, tmp_path) as reader:
        reader.follow_page(page)


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_with_a_test_of_its_own_is_followed_there(page: str) -> None:
    assert page in PAGES
    text = Path(__file__).with_name(ELSEWHERE[page]).read_text("utf-8")
    assert f'"{page}"' in text and "follow_page(" in text


def test_the_commands_of_the_operations_guide_work(engine: Engine, tmp_path: Path, pictures: Pictures) -> None:
    provide_monitoring_images(engine, tmp_path)
    with (
        Reader(engine, tmp_path / "host") as host,
        Reader(engine, tmp_path / "other", REDIS_PASSWORD=host.stack.environ["REDIS_PASSWORD"]) as other,
    ):
        day = Day(host.stack, other.stack, pictures)
        steps = [
            Step("before", "-f workers.yml", day.carry_the_certificate_and_connect_the_hosts),
            Step("after", "-f workers.yml", day.workers_of_the_other_host_answer),
            Step("after", "docker compose stop worker", day.the_model_answers),
            Step("before", "--rdb", day.hold_work),
            Step("after", "--rdb", day.finish_work),
            Step("before", "docker compose stop api worker", day.note_the_volume),
            Step("after", "docker compose stop api worker", day.everything_is_back),
        ]
        host.follow_page(OPERATIONS, steps, elsewhere={"-f workers.yml": other})


class Day:
    """What happens on an operator's day between the commands of his guide."""

    def __init__(self, host: Stack, other: Stack, pictures: Pictures) -> None:
        self._host, self._other, self._pictures = host, other, pictures

    def carry_the_certificate_and_connect_the_hosts(self) -> None:
        (self._other.root / "tls").mkdir()
        shutil.copy(self._host.root / "tls" / "redis.pem", self._other.root / "tls")
        # What is between hosts: a network and a name.
        self._other.run("up", "--no-start", "redis")
        [redis] = self._host.containers("redis")
        network = f"{self._other.project}_default"
        self._host.engine.run("network", "connect", "--alias", "redis.example", network, redis)

    def workers_of_the_other_host_answer(self) -> None:
        names = self._host.wait_ready(2)
        records = self._done(6)
        assert {record["worker"] for record in records} <= names
        [redis] = self._host.containers("redis")
        self._host.engine.run("network", "disconnect", f"{self._other.project}_default", redis)
        self._other.down()

    def the_model_answers(self) -> None:
        self._host.wait_ready(3)
        assert {record["model"]["name"] for record in self._done(3)} == {"efficientnet_lite0"}

    def hold_work(self) -> None:
        self._finished = self._done(3)
        self._host.run("pause", "worker")
        self._open = [self._host.accept(picture) for picture in self._pictures(5)]

    def finish_work(self) -> None:
        self._host.run("unpause", "worker")
        self._host.results(self._open, seconds=60)

    def note_the_volume(self) -> None:
        self._after_backup = self._done(1)
        self._made = self._volume()["CreatedAt"]

    def everything_is_back(self) -> None:
        # The volume is another one, which knows nothing that came after the backup
        assert self._volume()["CreatedAt"] != self._made
        self._host.wait_ready(3)
        [later] = self._after_backup
        assert self._host.get(f"/result/{later['id']}").status_code == 404
        # What was finished can be read, and what was open is done
        assert [self._host.get(f"/result/{record['id']}").json() for record in self._finished] == self._finished
        records = self._host.results(self._open, seconds=60)
        assert {record["status"] for record in records} == {"succeeded"}

    def _volume(self) -> dict[str, Any]:
        return self._host.engine.inspect(f"{self._host.project}_redis-data")

    def _done(self, count: int) -> list[dict[str, Any]]:
        """Return the records of so many new jobs, all of which have succeeded."""
        records = self._host.results([self._host.accept(picture) for picture in self._pictures(count)], seconds=60)
        assert {record["status"] for record in records} == {"succeeded"}
        return records

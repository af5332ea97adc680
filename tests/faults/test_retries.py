"""Jobs that failed by a fault of the service are put back by one command, and each is done once."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.checks import check_drained, settle
from tests.faults.conftest import Scale
from tests.support.fault_case import Expected, History
from tests.support.processes import Process, RedisServer
from tests.support.stub_worker import make_picture, read_executions
from tests.support.supervised import StubService, kill_process, random_child
from tests.support.wait import eventually

FAILED = Expected("failed", titles=("Model failed",))
RETRY_ALL = [sys.executable, "-m", "shared.jobs.failed", "retry", "--all"]


class Failures:
    """A service whose model fails until it is mended, and the command that retries its failed jobs."""

    def __init__(self, server: RedisServer, folder: Path, image_store_url: str) -> None:
        self._server = server
        self._folder = folder
        self._mended = folder / "mended"
        self._environ = {"REDIS_URL": server.url, "IMAGE_STORE_URL": image_store_url}
        self.service = StubService(server.url, folder / "service", IMAGE_STORE_URL=image_store_url)
        self._commands: list[Process] = []

    def picture(self) -> tuple[bytes, Expected]:
        return make_picture(f"needs={self._mended}"), FAILED

    def mend(self) -> None:
        self._mended.touch()

    def begin_retry(self) -> Process:
        command = Process(RETRY_ALL, self._folder / f"retry-{len(self._commands)}.log", **self._environ)
        self._commands.append(command)
        return command

    def retried(self) -> dict[str, dict[str, str]]:
        """Return the records of the new jobs, by their ids."""
        with self._server.client() as client:
            keys = list(client.scan_iter("job:*"))
            with client.pipeline() as pipe:
                for key in keys:
                    pipe.hgetall(key)
                records = dict(zip(keys, pipe.execute(), strict=True))
        return {key: record for key, record in records.items() if "retry_of" in record}

    def check(self, case: History) -> None:
        """Every job of the case has one new job, which has succeeded and was run once."""
        check_drained(self._server, 300)
        found = self.retried().values()
        assert Counter(record["retry_of"] for record in found) == Counter({job.job_id: 1 for job in case.accepted})
        wrong = [record for record in found if record["sha256"] not in record.get("result", "")]
        assert not wrong, wrong[:3]
        with self._server.client() as client:
            assert not client.exists("jobs:kept", "jobs:kept_bytes")
            assert not list(client.scan_iter("image:*"))

    def stop(self) -> None:
        for command in self._commands:
            command.kill()
        self.service.stop()


@pytest.fixture(params=["redis", "file"])
def failures(request: pytest.FixtureRequest, server: RedisServer, tmp_path: Path) -> Iterator[Failures]:
    folder = tmp_path / "pictures"
    failures = Failures(server, tmp_path, "redis:" if request.param == "redis" else folder.as_uri())
    yield failures
    failures.stop()


def fail_many(failures: Failures, server: RedisServer, case: History, count: int) -> None:
    """Have so many jobs fail, each once."""
    failures.service.start()
    with case.traffic(count, failures.picture, per_second=200):
        pass
    settle(case, server, 300)


def test_a_thousand_failures_are_retried_by_one_command(
    failures: Failures, server: RedisServer, scale: Scale, request: pytest.FixtureRequest
) -> None:
    # Given jobs that failed with the model, and a model that works again
    store = request.node.callspec.params["failures"]
    case = History(f"{scale.failures} failures retried ({store} store)", scale.name, failures.service)
    fail_many(failures, server, case, scale.failures)
    failures.mend()
    # When an operator has them retried
    command = failures.begin_retry()
    assert command.wait(300) == 0
    # Then each was retried once, has succeeded, and was run once more
    count = len({job.job_id for job in case.accepted})
    assert command.output.splitlines()[-1] == f"{count} of {count} jobs retried"
    failures.check(case)
    executions = read_executions(failures.service.executions_file)
    assert {executions[job.digest] for job in case.accepted} == {2}
    # And the command finds nothing more to do
    again = failures.begin_retry()
    assert (again.wait(60), again.output.splitlines()[-1]) == (0, "0 of 0 jobs retried")


def test_commands_that_are_killed_or_run_at_once_retry_each_job_once(
    failures: Failures, server: RedisServer, scale: Scale, request: pytest.FixtureRequest
) -> None:
    # Given jobs that failed with the model
    store = request.node.callspec.params["failures"]
    case = History(f"retry command kill -9 ({store} store)", scale.name, failures.service)
    fail_many(failures, server, case, scale.failures // 2)
    failures.mend()
    # When the command is killed midway, again and again, and so are the children that run the jobs
    for share in (0.2, 0.4, 0.6):
        command = failures.begin_retry()
        eventually(_at_least(failures, share * len(case.accepted)), 120, "retried jobs")
        kill_process(command)
        with suppress(ProcessLookupError):
            if child := random_child(failures.service.workers[0]):
                os.kill(child, signal.SIGKILL)
    # And two operators run it at once, to its end
    commands = [failures.begin_retry() for _ in range(2)]
    for command in commands:
        command.wait(300)
    # Then each job was retried once, and has succeeded
    failures.check(case)


def _at_least(failures: Failures, count: float) -> Callable[[], bool]:
    return lambda: len(failures.retried()) >= count

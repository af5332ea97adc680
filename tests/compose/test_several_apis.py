"""Three APIs behind nginx: the guide, and what clients see while one API after the other is killed."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import requests

from tests.compose.conftest import Pictures
from tests.compose.traffic import Seen, traffic
from tests.support.docker import Engine, Stack
from tests.support.nginx_image import provide_nginx_image
from tests.support.reader import Reader, Step
from tests.support.wait import eventually

PAGE = "docs/how-to/several-apis.md"
OVERLAY = "deploy/compose.nginx.yml"
CLIENTS = 9
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:5000/metrics', timeout=5).read().decode())"
UPLOADS, POLLS = 'method="POST",route="/upload"', 'method="GET",route="/result/<job_id>"'


@pytest.fixture(scope="module")
def reader(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    provide_nginx_image(engine, tmp_path_factory.mktemp("image"))
    with Reader(engine, tmp_path_factory.mktemp("reader"), OVERLAY) as reader:
        yield reader


@pytest.fixture
def apis(reader: Reader) -> list[str]:
    """The containers of three APIs behind nginx."""
    reader.stack.run("up", "--build", "--detach")
    # Not for the worker: one that was paused may count as unhealthy for a while.
    reader.stack.run("up", "--detach", "--wait", "api", "nginx")
    reader.stack.wait_ready(1)
    found = reader.stack.containers("api")
    assert len(found) == 3
    return found


def test_the_guide_works_and_its_upgrade_fails_no_upload(reader: Reader, pictures: Pictures) -> None:
    # Given clients that upload while the APIs are replaced
    upgrade = "--scale api=6"
    with ExitStack() as clients:
        seen: list[Seen] = []

        def begin() -> None:
            seen.append(clients.enter_context(traffic(reader.stack, pictures(1)[0], CLIENTS)))

        # When the guide is followed, Then each of its commands works
        reader.follow_page(PAGE, [Step("before", upgrade, begin), Step("after", upgrade, clients.close)])
    print("clients saw", dict(seen[0].told), "for", seen[0].uploads, "uploads")
    # And no upload failed: 504 is that of an upload that waited at an API that was stopped
    assert set(seen[0].told) <= {"200", "202", "504"}, seen[0].told
    assert_one_job_each(reader.stack, seen[0])
    # And the new APIs stay when the service is started again
    new = reader.stack.containers("api")
    reader.stack.run("up", "--detach", "--wait")
    assert len(new) == 3 and reader.stack.containers("api") == new


def test_nothing_is_lost_while_one_api_after_the_other_is_killed(
    reader: Reader, apis: list[str], pictures: Pictures
) -> None:
    # Given clients that upload to three APIs, and one that polls
    stack = reader.stack
    picture = pictures(1)[0]
    [right] = stack.results([stack.accept(picture)], seconds=60)
    records = count_records(stack)
    with traffic(stack, picture, CLIENTS) as seen, polls(stack, seen.jobs) as polled:
        for api in apis:
            # When one after the other is killed while clients wait there, Then it gets uploads again once it is back
            # A busy container cannot always be paused at once.
            eventually(lambda: stack.call("pause", "worker").returncode == 0, 30, "workers that pause")
            eventually(lambda: seen.uploads - len(seen.jobs) == CLIENTS, 30, "an upload of each client that waits")
            eventually(lambda: count_records(stack) - records == seen.uploads, 30, "their jobs")
            stack.engine.run("kill", api)
            stack.run("unpause", "worker")
            stack.engine.run("start", api)
            eventually(partial(answered, stack, api, UPLOADS), 30, "uploads to the API that was killed")
    # And some clients were not answered, but joined their jobs later
    print("clients saw", dict(seen.told), "for", seen.uploads, "uploads; polls saw", dict(polled))
    assert seen.told["502"] and set(seen.told) <= {"200", "202", "502", "504"}
    assert_one_job_each(stack, seen)
    assert count_records(stack) - records == seen.uploads
    # And every answer is right, wherever it is read
    results = [stack.get(f"/result/{job}").json()["result"] for job in seen.jobs]
    assert all(result == right["result"] for result in results)
    # And no poll failed
    assert set(polled) == {200, 202}


def test_polls_of_a_job_are_answered_by_every_api(reader: Reader, apis: list[str], pictures: Pictures) -> None:
    # Given a job that one API has accepted
    before = [answered(reader.stack, api, POLLS) for api in apis]
    job = reader.stack.accept(pictures(1)[0])
    # When it is polled, Then each API has answered, and always the same
    reader.stack.results([job], seconds=30)
    # nginx picks the APIs at random: that one gets none of so many polls does not happen.
    records = [reader.stack.get(f"/result/{job}").json() for _ in range(60)]
    assert all(record == records[0] for record in records)
    after = [answered(reader.stack, api, POLLS) for api in apis]
    assert all(new > old for new, old in zip(after, before, strict=True))


def test_a_body_that_is_too_large_is_refused_by_the_api(reader: Reader, apis: list[str]) -> None:
    # When more is sent than a picture, but not more than a batch, may have, Then it reaches an API
    answer = requests.post(f"{reader.stack.url}/upload", bytes(64 * 1024 * 1024), timeout=60)
    assert (answer.status_code, "at most 20 MiB" in answer.json()["error"]) == (413, True)


def test_only_nginx_is_published_and_it_may_do_as_little_as_possible(reader: Reader, apis: list[str]) -> None:
    stack = reader.stack
    for api in apis:
        assert not any(stack.engine.inspect(api)["NetworkSettings"]["Ports"].values())
        # So quotas count clients, not nginx.
        assert stack.engine.run("exec", api, "printenv", "TRUSTED_PROXIES").strip() == "1"
    [nginx] = stack.containers("nginx")
    found = stack.engine.inspect(nginx)
    assert found["Config"]["User"] == "101:101"
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]


def assert_one_job_each(stack: Stack, seen: Seen) -> None:
    """Every upload is one job, and every job ended well."""
    assert len(set(seen.jobs)) == len(seen.jobs) == seen.uploads
    records = stack.results(seen.jobs, seconds=60)
    assert {record["status"] for record in records} == {"succeeded"}


@contextmanager
def polls(stack: Stack, jobs: list[str]) -> Iterator[Counter[int]]:
    """Have a client poll the newest of `jobs` while the `with` block runs; counts the statuses that it sees."""
    told: Counter[int] = Counter()
    done = threading.Event()

    def poll() -> None:
        while not done.wait(0.02):
            told[stack.get(f"/result/{jobs[-1]}").status_code] += 1

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()


def count_records(stack: Stack) -> int:
    """Return how many jobs there are, ended or not."""
    return len(stack.run("exec", "-T", "redis", "redis-cli", "--scan", "--pattern", "job:*").split())


def answered(stack: Stack, api: str, labels: str) -> int:
    """Return how many requests with these labels an API has answered since its start; 0 while it does not answer."""
    done = stack.engine.call("exec", api, "python", "-c", METRICS)
    counts = re.findall(rf"^topthree_requests_total{{{re.escape(labels)},.*}} (\S+)", done.stdout, re.MULTILINE)
    return round(sum(float(count) for count in counts))

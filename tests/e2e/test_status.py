"""The status of a real service: over API processes and restarts, from this machine and through it, and watched."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.command_line import read_lines, start_topthree, topthree
from tests.support.contract import Contract
from tests.support.processes import RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, make_picture
from tests.support.wait import eventually


@pytest.fixture
def services(server: RedisServer, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    """Two API processes over one Redis, and a worker with two children."""
    first, second = (Service(server.url, tmp_path / name, tmp_path, WORKERS="2") for name in ("first", "second"))
    try:
        first.start_api()
        second.start_api()
        first.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(tmp_path / "executions")})
        first.wait_ready()
        yield first, second
    finally:
        first.stop()
        second.stop()


def status(service: Service, **headers: str) -> dict[str, Any]:
    answer = requests.get(f"{service.url}/status.json", headers=headers, timeout=5)
    assert answer.status_code == 200, answer.text
    Contract().check("GET", "/status.json", answer)
    return dict(answer.json())


def done(service: Service) -> dict[str, int]:
    """Return how many jobs ended in the last three hours."""
    ended = status(service)["ended"]
    return {state: sum(ended[state]) for state in ("succeeded", "failed", "canceled", "expired")}


def test_all_api_processes_tell_the_same_after_restarts_too(
    services: tuple[Service, Service], server: RedisServer, tmp_path: Path
) -> None:
    first, second = services
    # Given jobs that end in every way, accepted by both processes
    gate = tmp_path / "gate"
    ids = [each.accept(make_picture()) for each in (first, second, first)]
    failing = second.accept(make_picture("raise"))
    for job_id in (*ids, failing):
        first.finished(job_id)
    running = first.accept(make_picture(f"until={gate}"))
    eventually(lambda: status(second)["workers"][0]["running"] == 1, what="a running job")
    assert requests.delete(f"{second.url}/result/{running}", timeout=5).status_code == 204
    gate.touch()
    # Then both tell of all of them, once
    ends = {"succeeded": 3, "failed": 1, "canceled": 1, "expired": 0}
    assert done(first) == done(second) == ends
    # And still after API and Redis were restarted
    assert first.api is not None
    first.api.stop()
    first.start_api()
    server.stop()
    answer = requests.get(f"{second.url}/status.json", timeout=10)
    assert (answer.status_code, "cannot reach its storage" in answer.json()["detail"]) == (503, True)
    Contract().check("GET", "/status.json", answer)
    server.start()
    eventually(lambda: requests.get(f"{first.url}/status.json", timeout=5).ok, what="an answer with Redis")
    assert done(first) == done(second) == ends


def test_only_this_machine_itself_may_act(services: tuple[Service, Service]) -> None:
    first, _ = services
    job_id = first.accept(make_picture("raise"))
    first.finished(job_id)
    # When a page of another site, another name of this machine or a proxy asks, Then no id is told and nothing is done
    for headers in (
        {"Origin": "http://attacker.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "attacker.example"},
        {"X-Forwarded-For": "127.0.0.1"},
    ):
        found = status(first, **headers)
        assert not found["may_act"] and job_id not in json.dumps(found)
        answer = requests.post(f"{first.url}/status/jobs/{job_id}/retry", headers=headers, timeout=5)
        assert answer.status_code == 403
    # When a program on this machine asks, Then the job is retried
    assert [failure["id"] for failure in status(first)["failures"]] == [job_id]
    answer = requests.post(f"{first.url}/status/jobs/{job_id}/retry", timeout=5)
    assert answer.status_code == 202 and first.finished(answer.json()["id"])["status"] == "failed"


def test_the_command_line_watches_until_ctrl_c(services: tuple[Service, Service], tmp_path: Path) -> None:
    first, second = services
    assert topthree("status", "--url", second.url).returncode == 0
    # Given a watch
    log = tmp_path / "log"
    watch = start_topthree("status", "--watch", "--json", "--url", first.url, log=log)
    try:
        eventually(lambda: read_lines(log), what="the first status")
        # When a job ends, Then the next lines have it
        first.finished(first.accept(make_picture()))
        eventually(lambda: sum(read_lines(log)[-1]["ended"]["succeeded"]) == 1, what="a status with the job")
        # When Ctrl-C is pressed, Then it ends, without a traceback
        watch.signal(signal.SIGINT)
        assert watch.wait(10) == 130
        assert watch.output.splitlines()[-1] == "topthree: stopped"
    finally:
        watch.kill()


def test_an_operator_without_a_key_stops_the_api(server: RedisServer, tmp_path: Path) -> None:
    service = Service(server.url, tmp_path / "api", tmp_path, OPERATORS="carol")
    with pytest.raises(AssertionError):
        service.start_api()
    assert service.api is not None and service.api.wait() == 2
    assert "api: OPERATORS: API_KEYS has no key with the name carol" in service.api.output

"""A client over a transport that answers as a test says: no service, and no time that passes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from topthree_client import Client, command_line, connection, patience, uploads

Run = Callable[..., int]
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

RECORD = {
    "id": "a" * 32,
    "status": "succeeded",
    "result": {
        "prediction_1": {"confidence_level": 0.7, "predicted_label": "cat"},
        "prediction_2": {"confidence_level": 0.2, "predicted_label": "dog"},
    },
    "model": {"name": "m", "digest": "d" * 64},
}


STATUS = {
    "time": "2026-11-22T17:02:07.412+00:00",
    "jobs": {"queued": 3, "running": 2, "failed": 1, "oldest_seconds": 7.2},
    "ended": {
        "last_minute": "2026-11-22T17:02:00.000+00:00",
        **{state: [0] * 180 for state in ("canceled", "expired")},
        "succeeded": [1000] * 178 + [1200, 3],
        "failed": [0] * 178 + [4, 0],
    },
    "workers": [
        {"name": "w", "engine": "litert", "model": "m", "digest": "d" * 64, "answers": "a", "children": 2, "running": 1}
    ],
    "batches": {"open": 0},
    "webhooks": {"open": 0, "overdue_seconds": 0, "given_up": 0},
    "may_act": False,
}


def problem(status: int, detail: str = "A sentence.", **headers: str) -> httpx.Response:
    given = {"Content-Type": "application/problem+json", **headers}
    return httpx.Response(status, headers=given, json={"status": status, "detail": detail})


def accepted(job_id: str = "a" * 32) -> httpx.Response:
    return httpx.Response(202, json={"id": job_id, "status": "queued", "position": 1})


def labels() -> httpx.Response:
    return httpx.Response(200, json=RECORD)


class Script:
    """Returns its answers in order, repeating the last, and records the requests; `/health/live` always succeeds."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health/live":
            return httpx.Response(200, json={"status": "alive"})
        self.asked.append(request)
        self.bodies.append(request.read())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer()
        # A response can be given once.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def keys(self) -> list[str]:
        """The idempotency keys of the uploads."""
        return [request.headers["Idempotency-Key"] for request in self.asked if request.method == "POST"]

    def client(self, **options: Any) -> Client:
        return Client("http://service", transport=httpx.MockTransport(self), **options)


class Clock:
    """A clock that stands still but for those who sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies from the environment."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    monkeypatch.setattr(connection, "time", clock)
    monkeypatch.setattr(uploads, "time", clock)
    return clock


class Service:
    """Answers like the service, until it has accepted `most` pictures and goes away."""

    def __init__(self, most: int = 1000) -> None:
        self._left = most
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/health/ready":
            return httpx.Response(200, json={"workers": [], "jobs": {"open": 1, "running": 0, "failed": 0}})
        if request.url.path.endswith("/status.json"):
            return httpx.Response(200, json=STATUS)
        if request.method == "GET":
            return labels()
        if b"bad" in request.read():
            return problem(415, "This is not a picture.")
        self._left -= 1
        if self._left < 0:
            raise httpx.ConnectError("refused")
        return accepted()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, service: Service, tmp_path: Path) -> Run:
    """The command in this process, in a folder of two pictures, one good and one bad."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOPTHREE_URL", "TOPTHREE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("good.png").write_bytes(b"good")
    Path("bad.png").write_bytes(b"bad")
    use(monkeypatch, service)
    return lambda *arguments: command_line.main([str(argument) for argument in arguments])


def use(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx.Request], httpx.Response],
    patience_seconds: float = 0.05,
) -> None:
    """Replace the service by `answer`."""
    made = partial(Client, transport=httpx.MockTransport(answer), patience_seconds=patience_seconds)
    monkeypatch.setattr(command_line, "Client", made)

"""A stand-in for the service's batches: it keeps them in this process, and can be told to lose and refuse things."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from threading import Lock
from typing import Any

import httpx

from tests.client.conftest import RECORD, STATUS, problem
from tests.support.wait import take_time

Verdict = httpx.Response | BaseException | None
# How long a request waits for the end of a batch.
WAIT_SECONDS = 0.1
OPENED = "2026-11-27T19:00:58.123+00:00"


@dataclass
class StoredBatch:
    """A batch; `pictures` are (id, name, bytes) in the order of adding, `ended` is how many have ended."""

    options: dict[str, Any]
    state: str = "open"
    pictures: list[tuple[str, str, bytes]] = field(default_factory=list)
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class BatchService:
    """Answers the requests of a client; a picture that begins with `bad` is broken, one with `fails` has no labels.

    `before` is called with each request, and may answer it or raise instead; `after` may lose the answer.
    """

    def __init__(self) -> None:
        self.batches: dict[str, StoredBatch] = {}
        self._lock = Lock()
        self.label_of = label_of
        self.opened = 0
        self.asked: list[httpx.Request] = []
        self.most_at_once = 100
        self.held: set[bytes] = set()
        self.before: Callable[[httpx.Request], Verdict] = lambda _: None
        self.after: Callable[[httpx.Request], Verdict] = lambda _: None

    @property
    def sizes(self) -> list[int]:
        """How many pictures each request to add some had."""
        return [len(parts(request)) for request in self.asked if request.url.path.endswith("/images")]

    @property
    def sent(self) -> Counter[bytes]:
        """How often each picture was added."""
        return Counter(data for batch in self.batches.values() for _, _, data in batch.pictures)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        verdict = self.before(request)
        if verdict is None:
            # The service adds pictures atomically.
            with self._lock:
                verdict = self._answer(request)
            if request.headers.get("Prefer", "wait=0") != "wait=0" and self.held:
                take_time(WAIT_SECONDS)
        after = self.after(request)
        verdict = after if after is not None else verdict
        if isinstance(verdict, BaseException):
            raise verdict
        return verdict

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/health/"):
            return httpx.Response(200, json={"workers": [], "jobs": {"open": 0, "running": 0, "failed": 0}})
        if request.url.path == "/status.json":
            return httpx.Response(200, json=STATUS)
        _, first, *more = request.url.path.split("/")
        assert first == "batches", request.url
        if not more:
            self.opened += 1
            batch_id = f"{self.opened:032x}"
            self.batches[batch_id] = StoredBatch(json.loads(request.content))
            return httpx.Response(201, json=self._record(batch_id))
        if more[0] not in self.batches:
            return problem(404, "There is no batch with this id.")
        return self._about(request, more[0], more[1] if more[1:] else "")

    def _about(self, request: httpx.Request, batch_id: str, part: str) -> httpx.Response:
        batch = self.batches[batch_id]
        if part == "images":
            return self._added(request, batch)
        if part == "results":
            return self._results(batch, int(request.url.params["after"]))
        if request.method == "DELETE":
            batch.state = "canceled"
            return httpx.Response(204)
        if request.method == "PATCH":
            if batch.state == "canceled":
                return problem(409, "This batch was canceled.")
            batch.state = "closed" if batch.state == "open" else batch.state
        return httpx.Response(200, json=self._record(batch_id), headers={"Preference-Applied": "wait=2"})

    def _added(self, request: httpx.Request, batch: StoredBatch) -> httpx.Response:
        pictures, key = parts(request), request.headers["Idempotency-Key"]
        if len(pictures) > self.most_at_once:
            return problem(413, "Send fewer pictures in a request.")
        if key in batch.answers:
            return httpx.Response(200, json={"images": batch.answers[key]})
        if batch.state != "open":
            return problem(409, "This batch is closed: it takes no more pictures. Open another one.")
        answers: list[dict[str, Any]] = []
        for name, data in pictures:
            if data.startswith(b"bad"):
                answers.append({"name": name, "problem": {"status": 415, "detail": "This is not a picture."}})
                continue
            job_id = hashlib.sha256(repr([id(batch), len(batch.pictures)]).encode()).hexdigest()[:32]
            batch.pictures.append((job_id, name, data))
            answers.append({"name": name, "id": job_id})
        batch.answers[key] = answers
        return httpx.Response(200, json={"images": answers})

    def _results(self, batch: StoredBatch, after: int) -> httpx.Response:
        if batch.state == "canceled":
            return problem(410, "This batch was canceled.")
        lines = [self._line(number, *each) for number, each in enumerate(self._ended(batch), 1)]
        text = "".join(json.dumps(line) + "\n" for line in lines[after:])
        return httpx.Response(200, headers={"Content-Type": "application/x-ndjson"}, text=text)

    def _line(self, number: int, job_id: str, name: str, data: bytes) -> dict[str, Any]:
        line = {"number": number, "name": name, "id": job_id}
        if data.startswith(b"fails"):
            return line | {"status": "failed", "problem": {"status": 500, "title": "T", "detail": "The model failed."}}
        result = RECORD["result"] | {"prediction_1": {"confidence_level": 0.7, "predicted_label": self.label_of(data)}}
        return line | {"status": "succeeded", "result": result, "model": RECORD["model"]}

    def _ended(self, batch: StoredBatch) -> list[tuple[str, str, bytes]]:
        """Return the pictures before the first one that is held."""
        places = [place for place, (_, _, data) in enumerate(batch.pictures) if data in self.held]
        return batch.pictures[: min(places, default=len(batch.pictures))]

    def _record(self, batch_id: str) -> dict[str, Any]:
        batch = self.batches[batch_id]
        open_count = sum(data in self.held for _, _, data in batch.pictures)
        failed = sum(data.startswith(b"fails") for _, _, data in batch.pictures)
        added = len(batch.pictures)
        state = "completed" if batch.state == "closed" and not open_count else batch.state
        counts = {"added": added, "open": open_count, "succeeded": added - open_count - failed, "failed": failed}
        times = {"opened": OPENED} | ({} if batch.state == "open" else {"closed": OPENED})
        return {"id": batch_id, "status": state, "counts": counts | {"canceled": 0, "expired": 0}, "times": times}


def label_of(data: bytes) -> str:
    """Return the label of a picture: the word after `is`, else cat."""
    return data.removeprefix(b"is ").decode() if data.startswith(b"is ") else "cat"


def parts(request: httpx.Request) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the pictures in a form."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + request.content)
    return [(part.get_filename("") or "", part.get_payload(decode=True) or b"") for part in form.iter_parts()]  # type: ignore[attr-defined]

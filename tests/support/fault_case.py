"""Clients that write down what they asked and were told, and the reckoning when a fault is over."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from tests.support.fault_report import Row, forget_row, write_row
from tests.support.stub_worker import digest_of, make_picture, read_executions
from tests.support.supervised import StubService, SupervisedService, outlast

CLIENTS = 4
ANSWER_SECONDS = 40
# Answers that tell a client to come again: nothing was accepted.
REFUSALS = (429, 503)
# In the answer to an upload that a failover may lose, which the client has been told.
UNCONFIRMED = "too few replicas"


@dataclass(frozen=True)
class Expected:
    """How a job must end: its status, and its label and model or the title of its problem."""

    status: str = "succeeded"
    label: str = ""
    titles: tuple[str, ...] = ()
    # Any, if empty.
    model: str = ""

    def fits(self, record: dict[str, Any]) -> bool:
        if record["status"] != self.status:
            return False
        if self.status == "succeeded":
            labelled = record["result"]["prediction_1"]["predicted_label"] == self.label
            return bool(labelled and self.model in ("", record["model"]["name"]))
        return not self.titles or record["problem"]["title"] in self.titles


@dataclass
class Upload:
    """One upload as its client saw it; `acceptance` is accepted, refused, unknown (the answer never came) or odd."""

    digest: str
    expected: Expected
    began: float = field(default_factory=time.monotonic)
    acceptance: str = "unknown"
    job_id: str = ""
    seconds: float = 0
    told: str = ""
    # What was answered at once, and what was read later.
    labels: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    flaw: str = ""


def stub_picture(behaviour: str = "", *, side: int = 8, model: str = "") -> tuple[bytes, Expected]:
    """Return a picture that succeeds, and its label; by the model of this name, if it is given."""
    picture = make_picture(behaviour, side=side)
    return picture, Expected(label=digest_of(picture), model=model)


class History:
    """Everything that clients asked and were told in one case."""

    def __init__(self, case: str, scale: str, *services: SupervisedService) -> None:
        """`services` share a Redis and the clients' requests; without stubs the records tell of executions."""
        self._case = case
        self._scale = scale
        self._services = services
        self._stubs = [service for service in services if isinstance(service, StubService)]
        self.urls = [service.url for service in services]
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.uploads: list[Upload] = []
        self.accepted: list[Upload] = []
        forget_row(case, scale)

    def upload(
        self,
        picture: bytes,
        expected: Expected,
        session: requests.Session | None = None,
        *,
        query: str = "",
        **headers: str,
    ) -> Upload:
        """Upload one picture, without waiting for its labels unless `headers` say so, and write down the answer."""
        upload = Upload(digest_of(picture), expected)
        with self._lock:
            self.uploads.append(upload)
            url = self.urls[len(self.uploads) % len(self.urls)]
        sent = {"Prefer": "respond-async", "Content-Type": "image/png", **headers}
        try:
            with requests.Session() if session is None else nullcontext(session) as sender:
                answer = sender.post(f"{url}/upload{query}", picture, headers=sent, timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            upload.acceptance, upload.told = ("refused" if _never_sent(error) else "unknown"), repr(error)
        else:
            _take_down(upload, answer)
        upload.seconds = time.monotonic() - upload.began
        if upload.acceptance == "accepted":
            self.accepted.append(upload)
        return upload

    @contextmanager
    def traffic(
        self,
        jobs: int,
        picture: Callable[[], tuple[bytes, Expected]] = stub_picture,
        *,
        per_second: float = 20,
        seconds: float = 300,
    ) -> Iterator[None]:
        """Upload from several clients while the block runs, and after it until `jobs` were accepted."""
        left, failed = threading.Event(), threading.Event()
        pace = _Pace(per_second)
        deadline = time.monotonic() + seconds

        def enough() -> bool:
            done = left.is_set() and len(self.accepted) >= jobs
            return done or failed.is_set() or time.monotonic() > deadline

        def send() -> None:
            with requests.Session() as session:
                while not enough():
                    pace.wait()
                    # Every fifth client waits for its labels a while.
                    prefer = "wait=2" if len(self.uploads) % 5 == 4 else "respond-async"
                    self.upload(*picture(), session, Prefer=prefer)

        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(send) for _ in range(CLIENTS)]
            try:
                yield
            except BaseException:
                failed.set()
                raise
            finally:
                left.set()
            for client in running:
                client.result()
        assert len(self.accepted) >= jobs, f"only {len(self.accepted)} uploads were accepted in {seconds} s"

    def settle(self, seconds: float) -> Row:
        """Ask for every accepted job until it has ended, ask again, print the row; assert that all is well."""
        row = self.measure(seconds)
        assert row.lost == 0, [upload for upload in self.accepted if upload.record is None][:5]
        assert row.unexpected == 0, self._unexpected()[:5]
        return row

    def measure(self, seconds: float) -> Row:
        """Do the same, and leave the judgement to the caller."""
        self.read(seconds)
        row = self._row()
        write_row(row)
        return row

    def read(self, seconds: float) -> None:
        """Ask for every accepted job that was not read yet until it has ended, and then once more."""
        deadline = time.monotonic() + seconds
        unread = [upload for upload in self.accepted if upload.record is None]
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda upload: self._read(upload, deadline), unread))
            list(clients.map(lambda upload: self._read_again(upload, deadline), unread))

    def _read(self, upload: Upload, deadline: float) -> None:
        upload.record = self._result(upload, deadline)
        if upload.record is None:
            return
        if not upload.expected.fits(upload.record):
            upload.flaw = "it ended in another way"
        elif upload.labels is not None and upload.labels != upload.record.get("result"):
            upload.flaw = "the upload was answered otherwise"

    def _read_again(self, upload: Upload, deadline: float) -> None:
        if upload.record is not None:
            again = self._result(upload, max(deadline, time.monotonic() + 10))
            if again != upload.record:
                upload.flaw = f"a second reading gave {again}"

    def _result(self, upload: Upload, deadline: float) -> dict[str, Any] | None:
        """Return the record of a job that has ended; None if it did not in time, or is not there."""
        pause = threading.Event()
        turn = 0
        while time.monotonic() < deadline:
            turn += 1
            with suppress(requests.RequestException):
                url = self.urls[turn % len(self.urls)]
                answer = requests.get(f"{url}/result/{upload.job_id}", timeout=ANSWER_SECONDS)
                upload.told = f"{answer.status_code} {answer.text[:200]}"
                if answer.status_code == 200:
                    return dict(answer.json())
                if answer.status_code not in (202, *REFUSALS):
                    return None
            pause.wait(0.05)
        return None

    def _row(self) -> Row:
        # A client that retried with its Idempotency-Key was told of the same job.
        accepted = len({upload.job_id for upload in self.accepted})
        finished = len({upload.job_id for upload in self.accepted if upload.record is not None})
        acceptance = Counter(upload.acceptance for upload in self.uploads)
        return Row(
            case=self._case,
            scale=self._scale,
            accepted=accepted,
            finished=finished,
            lost=accepted - finished,
            unexpected=len(self._unexpected()),
            duplicated=self._duplicated(),
            refused=acceptance["refused"],
            unknown=acceptance["unknown"],
            restarted=sum(service.restarts for service in self._services),
            seconds=round(time.monotonic() - self._began, 1),
        )

    def _unexpected(self) -> list[Upload]:
        return [upload for upload in self.uploads if upload.flaw or upload.acceptance == "odd"]

    def _duplicated(self) -> int:
        if not self._stubs:
            return sum(upload.record["attempts"] - 1 for upload in self.accepted if upload.record)
        executions = sum((read_executions(stub.executions_file) for stub in self._stubs), Counter())
        return sum(max(0, executions[digest] - 1) for digest in {upload.digest for upload in self.uploads})

    def slowest_refusal(self, since: float) -> Upload | None:
        """Return the refused upload that waited longest for its refusal, of those that began after `since`."""
        refused = [each for each in self.uploads if each.acceptance == "refused" and each.began > since]
        return max(refused, key=lambda each: each.seconds, default=None)


class _Pace:
    """Lets so many pass in a second, of all threads together."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self) -> None:
        with self._lock:
            # No catching up after a pause: that would be a flood.
            self._next = max(self._next + self._interval, time.monotonic())
            turn = self._next
        outlast(max(0.0, turn - time.monotonic()))


def _take_down(upload: Upload, answer: requests.Response) -> None:
    upload.told = f"{answer.status_code} {answer.text[:200]}"
    upload.job_id = answer.headers.get("Location", "").rpartition("/")[2]
    if answer.status_code == 504 and UNCONFIRMED in answer.text:
        upload.acceptance = "unknown"
    elif upload.job_id:
        # Also a 504, and a job that has failed already.
        upload.acceptance = "accepted"
        upload.labels = answer.json() if answer.status_code == 200 else None
    else:
        upload.acceptance = "refused" if answer.status_code in REFUSALS else "odd"


def _never_sent(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)

"""Talks to the service: sends pictures, waits for their labels, asks how it is."""

import hashlib
import io
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from topthree_client.answers import Result, Status
from topthree_client.errors import JobGone, KeyRefused, PictureFailed, ServiceUnavailable
from topthree_client.loopback import is_loopback
from topthree_client.patience import FIRST_DELAY_SECONDS, Patience, read_retry_after

DEFAULT_URL = "http://127.0.0.1:5000"
# A service that is restarted or full is back within this time, or somebody has to look after it.
PATIENCE_SECONDS = 300.0
# So long one request waits for the end of a job.
WAIT_SECONDS = 20
# The service answers a wait a little late at most, and everything else at once.
TIMEOUT = httpx.Timeout(WAIT_SECONDS + 15, connect=5)
# How often a picture is sent whose job is gone before its result was read.
SUBMISSIONS = 10
TRY_AGAIN = (429, 502, 503, 504)
GONE = (404, 410)

T = TypeVar("T")
Picture = str | os.PathLike[str] | bytes


class Client:
    """A client of one service; threads may share it. To be closed, or used in a `with` statement.

    What goes wrong on the way is tried again: a lost connection, a full queue, a service that restarts. A picture is
    classified once all the same, as a retry joins the job of the first try.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`patience_seconds` bounds the tries of one request; `transport` is httpx's.

        A service on this machine is asked directly, others through the proxy that the environment names.

        Raises:
            ValueError: `url` is no http(s) URL, `api_key` has characters that no key has, or the environment names a
                proxy or certificates that cannot be used.
        """
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key has characters that no key has.")
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is no URL: {error}") from None
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError(f"{url!r} is no URL of a service, such as {DEFAULT_URL}.")
        self.url = url
        self._patience_seconds = patience_seconds
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            if transport is None and is_loopback(base.host):
                # Without a transport of its own, httpx takes the proxy that the environment names.
                transport = httpx.HTTPTransport()
            self._http = httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT, transport=transport)
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
            raise ValueError(
                f"The proxy or the certificates that the environment names cannot be used: {error}"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def classify(self, picture: Picture, top: int = 3, *, salt: str | None = None) -> Result:
        """Return the `top` (1 to 10) most likely labels of a picture: the path of its file, or its bytes.

        Calls with the same `salt` are one request: the same bytes are classified once, even if the program was ended
        and started again in between.

        Raises:
            PictureFailed: the service has refused it, or its job ended without labels.
            JobGone: its jobs were lost again and again.
            ServiceUnavailable: the service cannot be used.
            OSError: the file cannot be read.
        """
        key = _key(picture, top, salt or secrets.token_hex(16))
        submission = 0
        while True:
            submission += 1
            try:
                # A key leads to its first job for as long as the service remembers it: another job needs another key.
                return self.wait(self.submit(picture, top, key=f"{key}-{submission}"))
            except JobGone:
                if submission == SUBMISSIONS:
                    raise

    def submit(self, picture: Picture, top: int = 3, *, key: str | None = None) -> str:
        """Send a picture, as in `classify`, and return the id of its job; what has the same `key` has the same job.

        Raises:
            JobGone: there was a job with this key.
            PictureFailed, ServiceUnavailable, OSError: as `classify`.
        """
        headers = {
            "Content-Type": "image/*",
            "Prefer": "respond-async",
            "Idempotency-Key": key or secrets.token_hex(16),
        }
        answer = self._ask("POST", "/upload", headers, picture=picture, query={"top": top})
        if answer.status_code in GONE:
            raise JobGone(_detail(answer))
        if answer.status_code != 202:
            raise PictureFailed(answer.status_code, _detail(answer))
        return self._read(answer, lambda record: str(record["id"]))

    def wait(self, job_id: str, seconds: float | None = None) -> Result:
        """Return the labels of a job when it has ended.

        Raises:
            TimeoutError: it has not ended within `seconds`; without them there is no bound.
            PictureFailed: it ended without labels.
            JobGone, ServiceUnavailable: as `classify`.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            wait_seconds = int(min(WAIT_SECONDS, max(0, until - time.monotonic())))
            answer = self._ask("GET", f"/result/{job_id}", {"Prefer": f"wait={wait_seconds}"})
            if answer.status_code in GONE:
                raise JobGone(_detail(answer))
            if answer.status_code == 200:
                return self._read(answer, _result)
            if answer.status_code != 202:
                raise self._unexpected(answer)
            left_seconds = until - time.monotonic()
            if left_seconds <= 0:
                raise TimeoutError(f"The job {job_id} has not ended within {seconds} s.")
            if not wait_seconds or "wait=" not in answer.headers.get("Preference-Applied", ""):
                # There was no room to wait.
                retry_after = read_retry_after(answer.headers.get("Retry-After", ""))
                time.sleep(min(left_seconds, max(FIRST_DELAY_SECONDS, retry_after)))

    def status(self) -> Status:
        """Ask who works and on how much; what goes wrong is not tried again.

        Raises:
            ServiceUnavailable: the service cannot be used.
        """
        answer = self._ask("GET", "/health/ready", patience_seconds=0)
        if answer.status_code != 200:
            raise self._unexpected(answer)
        return self._read(answer, Status.from_answer)

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        picture: Picture | None = None,
        query: Mapping[str, int] | None = None,
        patience_seconds: float | None = None,
    ) -> httpx.Response:
        """Ask until there is an answer that speaks of the request."""
        patience = Patience(self._patience_seconds if patience_seconds is None else patience_seconds)
        while True:
            try:
                with nullcontext() if picture is None else _opened(picture) as content:
                    answer = self._http.request(method, path, params=query, headers=headers, content=content)
            except httpx.RequestError as error:
                patience.pause(f"{self.url} cannot be reached: {str(error) or type(error).__name__}")
                continue
            if answer.status_code in TRY_AGAIN:
                retry_after = read_retry_after(answer.headers.get("Retry-After", ""))
                patience.pause(f"{self.url} is not ready ({answer.status_code}): {_detail(answer)}", retry_after)
                continue
            # What speaks of the service, not of the picture.
            if answer.status_code in (401, 403, 405) or answer.is_redirect or not _is_json(answer):
                raise self._unexpected(answer)
            return answer

    def _read(self, answer: httpx.Response, read: Callable[[dict[str, Any]], T]) -> T:
        """Return what `read` finds in the JSON of an answer."""
        try:
            return read(answer.json())
        except (KeyError, TypeError, ValueError):
            raise self._unexpected(answer) from None

    def _unexpected(self, answer: httpx.Response) -> ServiceUnavailable:
        kind = KeyRefused if answer.status_code == 401 else ServiceUnavailable
        return kind(f"{self.url} answers {answer.status_code}: {_detail(answer)}")


def _result(record: dict[str, Any]) -> Result:
    """Return the labels of a job that has ended; PictureFailed when there are none."""
    if "problem" in record:
        raise PictureFailed(record["problem"]["status"], record["problem"]["detail"])
    return Result.from_record(record)


def _opened(picture: Picture) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture).open("rb")


def _key(picture: Picture, top: int, salt: str) -> str:
    """Return what is the same for the same bytes, wherever they lie, and cannot be guessed by who has the bytes."""
    with _opened(picture) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{salt} {digest} {top}".encode()).hexdigest()


def _is_json(answer: httpx.Response) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    return kind in ("application/json", "application/problem+json")


def _detail(answer: httpx.Response) -> str:
    """Return the message of a problem; describe any other answer."""
    if answer.is_redirect:
        return f"the service is at {answer.headers.get('Location', 'another place')}"
    if not _is_json(answer):
        return f"{answer.reason_phrase}, which is no answer of topthree"
    try:
        return str(answer.json()["detail"])
    except (KeyError, TypeError, ValueError):
        return answer.reason_phrase

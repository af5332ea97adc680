"""The HTTP client: sends pictures, waits for their labels, reads the service's status."""

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
from topthree_client.patience import FIRST_DELAY_SECONDS, LOG, Patience, read_retry_after

DEFAULT_URL = "http://127.0.0.1:5000"
# A restart or a full queue is over within this time; a longer outage needs the operator.
PATIENCE_SECONDS = 300.0
# How long one request waits for a job to end.
WAIT_SECONDS = 20
# The service responds shortly after the wait, and at once to all other requests.
TIMEOUT = httpx.Timeout(WAIT_SECONDS + 15, connect=5)
# How often a picture is submitted if its job is gone before the result was read.
SUBMISSIONS = 10
TRY_AGAIN = (429, 502, 503, 504)
GONE = (404, 410)

T = TypeVar("T")
Picture = str | os.PathLike[str] | bytes


class Client:
    """A thread-safe client of one service. Close it, or use it in a `with` statement.

    It retries temporary failures: a lost connection, a full queue, a restart of the service. A picture is classified
    only once nevertheless, because a retry joins the job of the first attempt.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`patience_seconds` limits the total time of all attempts of a request; `transport` is httpx's.

        Requests to this machine go directly, all others through the proxy set in the environment, if any.

        Raises:
            ValueError: `url` is not an http(s) URL, `api_key` has invalid characters, or the proxy or certificates set
                in the environment are invalid.
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
                # Without an explicit transport, httpx uses the proxy set in the environment.
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
        """Return the `top` (1 to 10) most likely labels of a picture, given as the path of a file or as bytes.

        Calls with the same `salt` and the same bytes share one job, even across restarts of the program.

        Raises:
            PictureFailed: the service refused the picture, or its job ended without labels.
            JobGone: the job was lost repeatedly.
            ServiceUnavailable: the service is unavailable.
            OSError: the file cannot be read.
        """
        key = _key(picture, top, salt or secrets.token_hex(16))
        submission = 0
        while True:
            submission += 1
            try:
                # The service maps a key to its first job until the key expires: a new job needs a new key.
                return self.wait(self.submit(picture, top, key=f"{key}-{submission}"))
            except JobGone:
                if submission == SUBMISSIONS:
                    raise

    def submit(self, picture: Picture, top: int = 3, *, key: str | None = None) -> str:
        """Send a picture, as in `classify`, and return the id of its job; calls with the same `key` share one job.

        Raises:
            JobGone: the earlier job with this key is gone.
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
        """Wait until a job has ended and return its labels.

        Raises:
            TimeoutError: the job has not ended within `seconds`; None waits without limit.
            PictureFailed: the job ended without labels.
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
                # The service did not wait: all of its slots were taken.
                retry_after = read_retry_after(answer.headers.get("Retry-After", ""))
                time.sleep(min(left_seconds, max(FIRST_DELAY_SECONDS, retry_after)))

    def status(self) -> Status:
        """Return the ready workers and the job counts; does not retry.

        Raises:
            ServiceUnavailable: the service is unavailable.
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
        """Send a request, retrying until the response is about the request and not about the service's state."""
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
            # These responses concern the service, not the picture.
            if answer.status_code in (401, 403, 405) or answer.is_redirect or not _is_json(answer):
                raise self._unexpected(answer)
            if answer.status_code == 202 and (note := _note(answer)):
                LOG.info("%s: %s", self.url, note)
            return answer

    def _read(self, answer: httpx.Response, read: Callable[[dict[str, Any]], T]) -> T:
        """Return the response's JSON as parsed by `read`."""
        try:
            return read(answer.json())
        except (KeyError, TypeError, ValueError):
            raise self._unexpected(answer) from None

    def _unexpected(self, answer: httpx.Response) -> ServiceUnavailable:
        kind = KeyRefused if answer.status_code == 401 else ServiceUnavailable
        return kind(f"{self.url} answers {answer.status_code}: {_detail(answer)}")


def _result(record: dict[str, Any]) -> Result:
    """Return the labels of a job that has ended; PictureFailed if it has none."""
    if "problem" in record:
        raise PictureFailed(record["problem"]["status"], record["problem"]["detail"])
    return Result.from_record(record)


def _opened(picture: Picture) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture).open("rb")


def _key(picture: Picture, top: int, salt: str) -> str:
    """Return an idempotency key that depends on the bytes, not the path, and that the bytes alone do not reveal."""
    with _opened(picture) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{salt} {digest} {top}".encode()).hexdigest()


def _is_json(answer: httpx.Response) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    return kind in ("application/json", "application/problem+json")


def _note(answer: httpx.Response) -> str:
    """Return what an open job waits for, such as a worker; "" if the service does not say."""
    try:
        return str(answer.json().get("detail", ""))
    except (AttributeError, ValueError):
        return ""


def _detail(answer: httpx.Response) -> str:
    """Return the message of a problem, or a description of any other response."""
    if answer.is_redirect:
        return f"the service is at {answer.headers.get('Location', 'another place')}"
    if not _is_json(answer):
        return f"{answer.reason_phrase}, which is no answer of topthree"
    try:
        return str(answer.json()["detail"])
    except (KeyError, TypeError, ValueError):
        return answer.reason_phrase

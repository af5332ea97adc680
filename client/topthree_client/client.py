"""The HTTP client: sends pictures, waits for their labels, reads the service's status."""

import hashlib
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from topthree_client.answers import Job, Result, Status
from topthree_client.environment import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE
from topthree_client.errors import JobGone, KeyRefused, PictureFailed, ServiceUnavailable
from topthree_client.limits import (
    DEFAULT_JOBS,
    check_job_id,
    check_jobs,
    check_min_confidence,
    check_seconds,
    check_top,
)
from topthree_client.loopback import is_loopback
from topthree_client.outcomes import Outcome, outcomes
from topthree_client.patience import FIRST_DELAY_SECONDS, LOG, MOST_DELAY_SECONDS, Patience, read_retry_after, spread
from topthree_client.pictures import Content, Picture, content_of, opened, size_of
from topthree_client.responses import cause_of, detail_of, is_from_topthree
from topthree_client.uploads import UploadLimit

# A restart or a full queue is over within this time; a longer outage needs the operator.
PATIENCE_SECONDS = 300.0
# How long one request waits for a job to end.
WAIT_SECONDS = 20
# Timeouts for connecting, for each send and for the response. The service responds shortly after a wait, and at once to
# all other requests.
CONNECT_SECONDS = 5.0
SEND_SECONDS = 35.0
ANSWER_SECONDS = 15.0
# When the last byte of an upload is written, this much may still be in the system's send buffers. The timeout for the
# response allows for this speed.
MOST_BUFFERED_BYTES = 4 * 1024 * 1024
SLOWEST_BYTES_PER_SECOND = 32 * 1024
# How often a picture is submitted if its job is gone before the result was read.
SUBMISSIONS = 10
TRY_AGAIN = (408, 429, 502, 503, 504)
GONE = (404, 410)

T = TypeVar("T")


class Client:
    """A thread-safe client of one service. Close it, or use it in a `with` statement.

    It retries temporary failures: a lost connection, a full queue, a restart of the service. A picture is classified
    only once nevertheless, because a retry joins the job of the first attempt. If the service has never answered this
    client, it fails at once instead, because the URL is probably wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_seconds: float | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Without `url`, use $TOPTHREE_URL, else http://127.0.0.1:5000; without `api_key`, $TOPTHREE_API_KEY, if set.

        `timeout_seconds` limits each step of a request, its retries, and the wait for a job; None waits for a job
        without limit. `patience_seconds` limits the total time of the retries of a request; `transport` is httpx's.

        Requests to this machine go directly, all others through the proxy set in the environment, if any.

        Raises:
            ValueError: `url` is not an http(s) URL, `api_key` has invalid characters, a time is not positive, or the
                proxy or certificates set in the environment are invalid.
        """
        url = (os.environ.get(URL_VARIABLE) or DEFAULT_URL) if url is None else url
        api_key = os.environ.get(KEY_VARIABLE) if api_key is None else api_key
        check_seconds("timeout_seconds", timeout_seconds)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key contains invalid characters.")
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is not a URL: {error}") from None
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError(f"{url!r} is not the URL of a service, such as {DEFAULT_URL}.")
        self.url = url
        self._timeout_seconds = math.inf if timeout_seconds is None else timeout_seconds
        self._patience_seconds = min(patience_seconds, self._timeout_seconds)
        self._uploads = UploadLimit()
        self._has_answered = False
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            if transport is None and is_loopback(base.host):
                # Without an explicit transport, httpx uses the proxy set in the environment.
                transport = httpx.HTTPTransport()
            self._proxied = transport is None and _has_proxy(base)
            self._http = httpx.Client(base_url=base, headers=headers, transport=transport)
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
            raise ValueError(f"The proxy or the certificates set in the environment cannot be used: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def classify(self, picture: Picture, top: int = 3, *, min_confidence: float = 0, salt: str | None = None) -> Result:
        """Return the `top` (1 to 10) most likely labels of a picture.

        A picture is a path, bytes, a file opened in binary mode or an image of Pillow. Labels below `min_confidence`
        (0 to 1) are left out; there may be none. Calls with the same `salt` and the same bytes share one job, even
        across restarts of the program.

        Raises:
            PictureFailed: the service refused the picture, or its job ended without labels.
            JobGone: the job was lost repeatedly.
            TimeoutError: the job has not ended within the client's `timeout_seconds`.
            ServiceUnavailable: the service is unavailable.
            OSError: the file cannot be read.
            ValueError: an argument is invalid.
        """
        check_top(top)
        check_min_confidence(min_confidence)
        content = content_of(picture)
        key = _key(content, top, min_confidence, salt or secrets.token_hex(16))
        submission = 0
        while True:
            submission += 1
            try:
                # The service maps a key to its first job until the key expires: a new job needs a new key.
                job_id = self.submit(content, top, min_confidence=min_confidence, key=f"{key}-{submission}")
                return self.wait(job_id)
            except JobGone:
                if submission == SUBMISSIONS:
                    raise

    def classify_many(
        self,
        pictures: Iterable[Picture],
        top: int = 3,
        *,
        min_confidence: float = 0,
        jobs: int = DEFAULT_JOBS,
        salt: str | None = None,
    ) -> Iterator[Outcome]:
        """Yield the outcome of each picture as soon as it is known; `index` says which picture it belongs to.

        At most `jobs` (1 to 64) pictures are in progress at a time. A picture that has no labels, cannot be read or
        takes longer than `timeout_seconds` has an `error` and does not stop the others. The other arguments are those
        of `classify`.

        Raises:
            ServiceUnavailable: the service is unavailable; pictures without an outcome are not answered.
            ValueError: an argument is invalid.
        """
        check_top(top)
        check_min_confidence(min_confidence)
        check_jobs(jobs)
        if isinstance(pictures, str | bytes):
            raise ValueError("classify_many needs several pictures; use classify for one.")
        classify = partial(self.classify, top=top, min_confidence=min_confidence, salt=salt)
        return outcomes(classify, pictures, jobs)

    def submit(self, picture: Picture, top: int = 3, *, min_confidence: float = 0, key: str | None = None) -> str:
        """Send a picture, as in `classify`, and return the id of its job; calls with the same `key` share one job.

        Raises:
            JobGone: the earlier job with this key is gone.
            PictureFailed, ServiceUnavailable, OSError, ValueError: as `classify`.
        """
        check_top(top)
        check_min_confidence(min_confidence)
        content = content_of(picture)
        headers = {
            "Content-Type": "image/*",
            "Prefer": "respond-async",
            "Idempotency-Key": key or secrets.token_hex(16),
        }

        params: dict[str, float] = {"top": top}
        if min_confidence:
            params["min_confidence"] = min_confidence

        def send() -> httpx.Response:
            with opened(content) as file:
                timeout = self._upload_timeout(size_of(content))
                return self._http.post("/upload", params=params, headers=headers, content=file, timeout=timeout)

        self._check_address()
        answer = self._ask(send, limit=self._uploads)
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code != 202:
            raise PictureFailed(answer.status_code, detail_of(answer))
        self._log_note(answer)
        return self._read(answer, lambda record: str(record["id"]))

    def wait(self, job_id: str, seconds: float | None = None) -> Result:
        """Wait until a job has ended and return its labels.

        Raises:
            TimeoutError: the job has not ended within `seconds`; None is the client's `timeout_seconds`.
            PictureFailed: the job ended without labels.
            ValueError: `job_id` is not an id.
            JobGone, ServiceUnavailable: as `classify`.
        """
        check_job_id(job_id)
        self._check_address()
        seconds = self._timeout_seconds if seconds is None else seconds
        until = time.monotonic() + seconds
        while True:
            wait_seconds = int(min(WAIT_SECONDS, max(0, until - time.monotonic())))
            answer = self._get(f"/result/{job_id}", wait_seconds)
            if answer.status_code in GONE:
                raise JobGone(detail_of(answer))
            if answer.status_code == 200:
                return self._read(answer, _result)
            if answer.status_code != 202:
                raise self._unexpected(answer)
            self._log_note(answer)
            left_seconds = until - time.monotonic()
            if left_seconds <= 0:
                raise TimeoutError(f"The job {job_id} has not ended within {seconds:g} s.")
            if not wait_seconds or "wait=" not in answer.headers.get("Preference-Applied", ""):
                # The service did not wait: all of its slots were taken.
                retry_after = min(MOST_DELAY_SECONDS, read_retry_after(answer.headers.get("Retry-After", "")))
                time.sleep(min(left_seconds, max(FIRST_DELAY_SECONDS, spread(retry_after, math.inf))))

    def get(self, job_id: str) -> Job:
        """Return a job as it is now, without waiting.

        Raises:
            JobGone: the service does not have the job.
            ServiceUnavailable: the service is unavailable.
            ValueError: `job_id` is not an id.
        """
        check_job_id(job_id)
        self._check_address()
        answer = self._get(f"/result/{job_id}", wait_seconds=0)
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code not in (200, 202):
            raise self._unexpected(answer)
        return self._read(answer, Job.from_record)

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; return False if it has ended otherwise, and leave its result as it is.

        Raises:
            JobGone, ServiceUnavailable, ValueError: as `get`.
        """
        check_job_id(job_id)
        self._check_address()
        path, timeout = f"/result/{job_id}/cancel", self._timeout(ANSWER_SECONDS)
        answer = self._ask(partial(self._http.post, path, timeout=timeout))
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if answer.status_code != 204:
            raise self._unexpected(answer)
        return True

    def status(self) -> Status:
        """Return the ready workers and the job counts; does not retry.

        Raises:
            ServiceUnavailable: the service is unavailable.
        """
        answer = self._get("/health/ready", patience_seconds=0)
        if answer.status_code != 200:
            raise self._unexpected(answer)
        return self._read(answer, Status.from_answer)

    def status_details(self) -> dict[str, Any]:
        """Return all that `GET /status.json` tells, as the service sends it; does not retry.

        Raises:
            ServiceUnavailable: the service is unavailable, or refuses the API key.
        """
        answer = self._get("/status.json", patience_seconds=0)
        if answer.status_code != 200:
            raise self._unexpected(answer)
        return self._read(answer, _status_details)

    def _check_address(self) -> None:
        """Raise ServiceUnavailable if the service does not answer and has never answered this client.

        This is a separate request, because an upload may also fail because the connection is slow.
        """
        if self._has_answered:
            return
        try:
            self._http.get("/health/live", timeout=self._timeout(ANSWER_SECONDS))
        except httpx.RequestError as error:
            raise ServiceUnavailable(self._unreachable(error)) from None
        self._has_answered = True

    def _get(self, path: str, wait_seconds: int | None = None, patience_seconds: float | None = None) -> httpx.Response:
        headers = {} if wait_seconds is None else {"Prefer": f"wait={wait_seconds}"}
        timeout = self._timeout(ANSWER_SECONDS, wait_seconds or 0)
        send = partial(self._http.get, path, headers=headers, timeout=timeout)
        return self._ask(send, patience_seconds=patience_seconds)

    def _ask(
        self,
        send: Callable[[], httpx.Response],
        *,
        limit: UploadLimit | None = None,
        patience_seconds: float | None = None,
    ) -> httpx.Response:
        """Send a request, retrying until the response is about the request and not about the service's state."""
        patience = Patience(self._patience_seconds if patience_seconds is None else patience_seconds)
        # The wait for an upload slot is outside of the attempt, so it does not count towards the limit.
        attempt = partial(patience.attempt, send)
        while True:
            try:
                answer = limit.run(attempt) if limit else attempt()
            except httpx.RequestError as error:
                patience.pause(self._unreachable(error))
                continue
            self._has_answered = True
            if answer.status_code in TRY_AGAIN:
                retry_after = read_retry_after(answer.headers.get("Retry-After", ""))
                patience.pause(f"{self.url} answers {answer.status_code}: {detail_of(answer)}", retry_after)
                continue
            # These responses concern the service, not the picture.
            if answer.status_code in (401, 403, 405) or answer.is_redirect or not is_from_topthree(answer):
                raise self._unexpected(answer)
            return answer

    def _log_note(self, answer: httpx.Response) -> None:
        """Log why an open job waits longer than usual, such as that no worker is running."""
        try:
            if note := answer.json().get("detail"):
                LOG.info("%s: %s", self.url, note)
        except (AttributeError, ValueError):
            return

    def _read(self, answer: httpx.Response, read: Callable[[dict[str, Any]], T]) -> T:
        """Return the response's JSON as parsed by `read`."""
        try:
            return read(answer.json())
        except (KeyError, TypeError, ValueError):
            raise self._unexpected(answer) from None

    def _timeout(self, answer_seconds: float, wait_seconds: float = 0) -> httpx.Timeout:
        """Return the limits of a request whose response takes `answer_seconds`, after a wait that was asked for."""
        most = self._timeout_seconds
        answer_seconds = min(answer_seconds, most) + wait_seconds
        return httpx.Timeout(min(SEND_SECONDS, most), connect=min(CONNECT_SECONDS, most), read=answer_seconds)

    def _upload_timeout(self, size: int) -> httpx.Timeout:
        return self._timeout(SEND_SECONDS + min(size, MOST_BUFFERED_BYTES) / SLOWEST_BYTES_PER_SECOND)

    def _unreachable(self, error: httpx.RequestError) -> str:
        proxy = " through the proxy set in the environment" if self._proxied else ""
        return f"{self.url} cannot be reached{proxy}: {cause_of(error)}"

    def _unexpected(self, answer: httpx.Response) -> ServiceUnavailable:
        kind = KeyRefused if answer.status_code == 401 else ServiceUnavailable
        return kind(f"{self.url} answers {answer.status_code}: {detail_of(answer)}")


def _status_details(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the status; KeyError or TypeError if it is none."""
    if any(name not in answer for name in ("jobs", "ended", "workers", "batches", "webhooks")):
        raise KeyError("status")
    return answer


def _result(record: dict[str, Any]) -> Result:
    """Return the labels of a job that has ended; PictureFailed if it has none."""
    if "problem" in record:
        raise PictureFailed(record["problem"]["status"], record["problem"]["detail"])
    return Result.from_record(record)


def _has_proxy(url: httpx.URL) -> bool:
    """Whether the environment names a proxy for the URL."""
    proxies = getproxies()
    return bool({url.scheme, "all"} & proxies.keys()) and not proxy_bypass(url.host)


def _key(content: Content, top: int, min_confidence: float, salt: str) -> str:
    """Return an idempotency key that depends on the bytes, not the path, and that the bytes alone do not reveal."""
    with opened(content) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = f"{top} {min_confidence}" if min_confidence else f"{top}"
    return hashlib.sha256(f"{salt} {digest} {wanted}".encode()).hexdigest()

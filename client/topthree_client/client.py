"""The HTTP client: sends pictures, waits for their labels, reads the service's status."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx

from topthree_client.answers import Job, Result, Status
from topthree_client.batch import Batch, open_batch
from topthree_client.connection import PATIENCE_SECONDS, ServiceConnection
from topthree_client.errors import JobGone, PictureFailed
from topthree_client.limits import DEFAULT_JOBS, check_id, check_jobs, check_min_confidence, check_top
from topthree_client.outcomes import Outcome, outcomes
from topthree_client.pictures import Content, Picture, content_of, opened, size_of
from topthree_client.responses import GONE, detail_of

# How often a picture is submitted if its job is gone before the result was read.
SUBMISSIONS = 10


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
        self._connection = ServiceConnection(url, api_key, timeout_seconds, patience_seconds, transport)

    @property
    def url(self) -> str:
        """The address of the service, as it was given."""
        return self._connection.url

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

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

        self._connection.check_address()
        answer = self._connection.upload(
            "/upload", partial(opened, content), size_of(content), headers=headers, params=params
        )
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code != 202:
            raise PictureFailed(answer.status_code, detail_of(answer))
        self._connection.log_note(answer)
        return self._connection.read(answer, lambda record: str(record["id"]))

    def wait(self, job_id: str, seconds: float | None = None) -> Result:
        """Wait until a job has ended and return its labels.

        Raises:
            TimeoutError: the job has not ended within `seconds`; None is the client's `timeout_seconds`.
            PictureFailed: the job ended without labels.
            ValueError: `job_id` is not an id.
            JobGone, ServiceUnavailable: as `classify`.
        """
        check_id(job_id, "a job")
        self._connection.check_address()
        seconds = self._connection.timeout_seconds if seconds is None else seconds
        for answer in self._connection.follow(f"/result/{job_id}", seconds):
            if answer.status_code in GONE:
                raise JobGone(detail_of(answer))
            if answer.status_code == 200:
                return self._connection.read(answer, _result)
            if answer.status_code != 202:
                raise self._connection.unexpected(answer)
            self._connection.log_note(answer)
        raise TimeoutError(f"The job {job_id} has not ended within {seconds:g} s.")

    def get(self, job_id: str) -> Job:
        """Return a job as it is now, without waiting.

        Raises:
            JobGone: the service does not have the job.
            ServiceUnavailable: the service is unavailable.
            ValueError: `job_id` is not an id.
        """
        check_id(job_id, "a job")
        self._connection.check_address()
        answer = next(self._connection.follow(f"/result/{job_id}", 0))
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code not in (200, 202):
            raise self._connection.unexpected(answer)
        return self._connection.read(answer, Job.from_record)

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; return False if it has ended otherwise, and leave its result as it is.

        Raises:
            JobGone, ServiceUnavailable, ValueError: as `get`.
        """
        check_id(job_id, "a job")
        self._connection.check_address()
        answer = self._connection.ask("POST", f"/result/{job_id}/cancel")
        if answer.status_code in GONE:
            raise JobGone(detail_of(answer))
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if answer.status_code != 204:
            raise self._connection.unexpected(answer)
        return True

    def batch(self, top: int = 3, *, min_confidence: float = 0, webhook: str | None = None) -> Batch:
        """Open a batch, to which any number of pictures can be added; the labels are wanted as in `classify`.

        If the service has webhooks, it sends the end of the batch to the URL `webhook`.

        Raises:
            ServiceUnavailable: the service is unavailable.
            ValueError: an argument is invalid.
        """
        return open_batch(self._connection, top, min_confidence, webhook)

    def existing_batch(self, batch_id: str) -> Batch:
        """Return a batch that was opened before, perhaps elsewhere; sends nothing. ValueError if this is no id."""
        return Batch(self._connection, batch_id)

    def status(self) -> Status:
        """Return the ready workers and the job counts; does not retry.

        Raises:
            ServiceUnavailable: the service is unavailable.
        """
        answer = self._connection.ask("GET", "/health/ready", patience_seconds=0)
        if answer.status_code != 200:
            raise self._connection.unexpected(answer)
        return self._connection.read(answer, Status.from_answer)

    def status_details(self) -> dict[str, Any]:
        """Return all that `GET /status.json` tells, as the service sends it; does not retry.

        Raises:
            ServiceUnavailable: the service is unavailable, or refuses the API key.
        """
        answer = self._connection.ask("GET", "/status.json", patience_seconds=0)
        if answer.status_code != 200:
            raise self._connection.unexpected(answer)
        return self._connection.read(answer, _status_details)


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


def _key(content: Content, top: int, min_confidence: float, salt: str) -> str:
    """Return an idempotency key that depends on the bytes, not the path, and that the bytes alone do not reveal."""
    with opened(content) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = f"{top} {min_confidence}" if min_confidence else f"{top}"
    return hashlib.sha256(f"{salt} {digest} {wanted}".encode()).hexdigest()

"""A batch: many pictures under one id, whose results can be read later and elsewhere."""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence

import httpx

from topthree_client.batch_answers import Added, BatchResult, BatchState
from topthree_client.batch_uploads import BatchUploads, state_of
from topthree_client.connection import ServiceConnection
from topthree_client.errors import BatchClosed, BatchGone
from topthree_client.limits import check_id, check_min_confidence, check_top
from topthree_client.pictures import Picture
from topthree_client.responses import GONE, detail_of
from topthree_client.uploads import RequestSize

# The shortest pause between two questions for a batch if the service has no room to wait.
PAUSE_SECONDS = 1.0


class Batch:
    """A batch of one service, from `Client.batch` or `Client.existing_batch`; thread-safe.

    All methods raise ServiceUnavailable if the service is unavailable, and BatchGone if it does not have the batch.
    """

    def __init__(self, connection: ServiceConnection, batch_id: str) -> None:
        """Raises ValueError if `batch_id` is not an id."""
        check_id(batch_id, "a batch")
        self.id = batch_id
        self._connection = connection
        self._path = f"/batches/{batch_id}"
        self._uploads = BatchUploads(connection, self._path)

    def add(
        self, pictures: Iterable[Picture], names: Iterable[str] | None = None, *, salt: str | None = None
    ) -> list[Added]:
        """Send pictures, and return the job of each, or why it was not accepted, in their order.

        Any number of pictures is sent, in as many requests as it takes; each waits until the service has room. Without
        `names`, a picture has the name of its file, or none. A picture that is broken or cannot be read does not stop
        the others. Calls with the same `salt`, pictures and names add the pictures once, even across restarts of the
        program.

        Raises:
            BatchClosed: the batch takes no more pictures.
            ServiceUnavailable: the service is unavailable; earlier pictures may have been added.
            ValueError: an argument is invalid.
        """
        return self._uploads.add(pictures, names, salt or secrets.token_hex(16))

    def add_together(
        self, pictures: Sequence[Picture], names: Sequence[str], *, salt: str | None = None
    ) -> list[Added]:
        """Send up to 100 pictures as `add` does, in one request if the service takes it."""
        return self._uploads.add_together(pictures, names, salt or secrets.token_hex(16))

    @property
    def request_size(self) -> RequestSize:
        """How many bytes a request should have, by the speed of those before."""
        return self._uploads.request_size

    def close(self) -> BatchState:
        """Let the batch take no more pictures: it ends with the last of them. Doing it again changes nothing.

        Raises:
            BatchClosed: the batch was canceled.
        """
        self._connection.check_address()
        answer = self._connection.ask("PATCH", self._path, json={"status": "closed"})
        if answer.status_code == httpx.codes.CONFLICT:
            raise BatchClosed(detail_of(answer))
        return state_of(self._connection, answer)

    def state(self, wait_seconds: float = 0) -> BatchState:
        """Return the batch as it is now, or when it has ended if that is within `wait_seconds`."""
        self._connection.check_address()
        for answer in self._connection.follow(self._path, wait_seconds, PAUSE_SECONDS):
            state = state_of(self._connection, answer)
            if state.has_ended:
                break
        return state

    def wait(self, seconds: float | None = None) -> BatchState:
        """Wait until a closed batch has ended, and return it.

        Raises:
            TimeoutError: it has not ended within `seconds`; None is the client's `timeout_seconds`.
        """
        seconds = self._connection.timeout_seconds if seconds is None else seconds
        state = self.state(seconds)
        if not state.has_ended:
            raise TimeoutError(f"The batch {self.id} has not ended within {seconds:g} s.")
        return state

    def results(self, after: int = 0) -> Iterator[BatchResult]:
        """Yield the results after the one with the number `after`, in the order of adding; one is read at a time.

        The results of a batch that is not completed end before the first picture that has not ended. If the connection
        breaks, the rest is read over another one.
        """
        if not isinstance(after, int) or isinstance(after, bool) or after < 0:
            raise ValueError(f"after must be the number of a result, or 0, not {after!r}.")
        return self._results(after)

    def cancel(self) -> bool:
        """Cancel the pictures that have not ended; return False if the batch had ended, and leave its results.

        The results of a batch that was canceled are gone.
        """
        # The service deletes a batch that is completed.
        if self.state().has_ended:
            return False
        answer = self._connection.ask("DELETE", self._path)
        if answer.status_code in GONE:
            raise BatchGone(detail_of(answer))
        if answer.status_code != httpx.codes.NO_CONTENT:
            raise self._connection.unexpected(answer)
        return True

    def _results(self, after: int) -> Iterator[BatchResult]:
        self._connection.check_address()
        patience = self._connection.patience()
        while True:
            answer = self._connection.stream(f"{self._path}/results", {"after": after})
            try:
                if answer.status_code in GONE:
                    raise BatchGone(detail_of(answer))
                if answer.status_code != httpx.codes.OK:
                    raise self._connection.unexpected(answer)
                for line in answer.iter_lines():
                    result = self._parsed(line, answer)
                    yield result
                    after = result.number
                    patience = self._connection.patience()
                return
            except httpx.RequestError as error:
                self._connection.pause(patience, error)
            finally:
                answer.close()

    def _parsed(self, line: str, answer: httpx.Response) -> BatchResult:
        try:
            return BatchResult.from_record(json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._connection.unexpected(answer) from None


def open_batch(connection: ServiceConnection, top: int, min_confidence: float, webhook: str | None) -> Batch:
    """Open a batch; the arguments, and the exceptions, are those of `Client.batch`."""
    check_top(top)
    check_min_confidence(min_confidence)
    if webhook is not None and not isinstance(webhook, str):
        raise ValueError(f"webhook must be a URL, not {webhook!r}.")
    options = {"top": top, "min_confidence": min_confidence} | ({} if webhook is None else {"webhook": webhook})
    connection.check_address()
    # If the answer is lost, a second batch is opened; the service forgets the empty one.
    answer = connection.ask("POST", "/batches", json=options)
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise ValueError(detail_of(answer))
    if answer.status_code != httpx.codes.CREATED:
        raise connection.unexpected(answer)
    return Batch(connection, connection.read(answer, lambda record: str(record["id"])))

"""Forms batches across jobs: at once if the model is idle, else from the pictures queued during the last batch."""

import logging
import queue
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.awake_timer import AwakeTimer

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
# How often waiting threads check whether the model hangs.
LOOK_SECONDS = 0.2
# After this many full batches without a failure, batches of twice the size are tried: another program that used the
# GPU's memory may have ended. If the larger batch fails, that costs one call in hundreds.
CALLS_BEFORE_GROWTH = 200


class PendingRequest:
    """A picture in the queue and, once `ended` is set, its logits or its error."""

    def __init__(self, picture: Floats) -> None:
        self.picture = picture
        self.ended = threading.Event()
        self.logits: Floats | None = None
        self.error: Exception | None = None


# Pictures that the model gets in one call; not to be confused with a batch of jobs.
InferenceBatch = list[PendingRequest]


class Batcher:
    """Runs the model in one thread; any number of threads call `logits`, each with one picture."""

    def __init__(
        self,
        run: Callable[[Floats], Floats],
        most: int,
        limit_seconds: float,
        give_up: Callable[[str], None],
        *,
        fitting: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run` maps pictures float32 [n, height, width, 3] to logits float32 [n, classes], n up to `most`.

        `give_up` is called with a reason when the model cannot be used any longer: a call takes longer than
        `limit_seconds`, or a picture known to be good fails. `fitting` is the size of the first batches, if it is known
        that `most` pictures do not fit into memory.
        """
        self._run = run
        self._most = most
        self._fitting = fitting or most
        self._well = 0
        self._limit_seconds = limit_seconds
        self._give_up = give_up
        self._clock = clock
        self._pending: queue.SimpleQueue[PendingRequest | None] = queue.SimpleQueue()
        self._call: AwakeTimer | None = None
        # A daemon thread: a model that hangs must not keep the process from exiting.
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    def logits(self, picture: Floats) -> Floats:
        """Return logits float32 [classes] for one picture float32 [height, width, 3]; blocks until a batch has run.

        Raises the model's error if it fails with this picture alone.
        """
        request = PendingRequest(picture)
        self._pending.put(request)
        while not request.ended.wait(LOOK_SECONDS):
            self._look_after_model()
        if request.error is not None:
            raise request.error
        assert request.logits is not None
        return request.logits

    @property
    def waiting(self) -> int:
        """Number of pictures in the queue, without the batch that runs."""
        return self._pending.qsize()

    def close(self) -> None:
        """Run the queued pictures, then end the thread; `logits` must not be called any more."""
        self._pending.put(None)
        self._thread.join()

    def _look_after_model(self) -> None:
        call = self._call
        if call is not None and not call.left():
            self._give_up(f"The model has not answered for {self._limit_seconds} s.")

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._answer(batch)
            self._grow(len(batch))

    def _next_batch(self) -> InferenceBatch:
        """Wait for a picture, add further queued ones up to the limit; return an empty batch after `close`."""
        batch: InferenceBatch = []
        request = self._pending.get()
        while request is not None:
            batch.append(request)
            if len(batch) >= self._fitting:
                return batch
            try:
                request = self._pending.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            # Put the end marker back: it is read again after this batch.
            self._pending.put(None)
        return batch

    def _answer(self, batch: InferenceBatch) -> bool:
        """Answer every picture of the batch; return whether one of them was bad.

        A failing batch is halved until its parts succeed or are one picture: bad pictures are found in log steps, and
        the others are answered on the way. A batch that fails without any bad picture does not fit into memory.
        """
        if len(batch) > self._fitting:
            # The other half of its batch has shown that this size does not fit.
            return self._answer_halves(batch)
        try:
            rows = self._logits_of([request.picture for request in batch])
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0], error)
                return True
            log.warning("A batch of %d failed; trying its halves: %s", len(batch), error)
            return self._answer_halves(batch)
        for request, row in zip(batch, rows, strict=True):
            request.logits = row
            request.ended.set()
        return False

    def _answer_halves(self, batch: InferenceBatch) -> bool:
        middle = (len(batch) + 1) // 2
        # A list, so that both halves run even if the first has a bad picture.
        bad = [self._answer(half) for half in (batch[:middle], batch[middle:])]
        if not any(bad):
            self._shrink(middle)
        return any(bad)

    def _fail(self, request: PendingRequest, error: Exception) -> None:
        self._try_good_picture(request.picture.shape)
        request.error = error
        request.ended.set()

    def _shrink(self, size: int) -> None:
        if size < self._fitting:
            log.warning("Batches of more than %d fail: larger ones are not tried for now.", size)
            self._fitting = size
        self._well = 0

    def _grow(self, size: int) -> None:
        if size < self._fitting or self._fitting == self._most:
            return
        self._well += 1
        if self._well >= CALLS_BEFORE_GROWTH:
            self._well = 0
            self._fitting = min(2 * self._fitting, self._most)
            log.info("Batches of %d are tried again.", self._fitting)

    def _try_good_picture(self, shape: tuple[int, ...]) -> None:
        """Give up if the model fails with a known good picture too: a broken model or lost GPU would fail every job."""
        try:
            self._timed(np.zeros((1, *shape), np.float32))
        except Exception as error:
            self._give_up(f"The model fails on every picture: {error}")

    def _logits_of(self, pictures: list[Floats]) -> Floats:
        rows = self._timed(np.stack(pictures))
        if len(rows) != len(pictures):
            raise ValueError(f"The model returned {len(rows)} results for {len(pictures)} pictures.")
        return rows

    def _timed(self, pictures: Floats) -> Floats:
        # The time limit is per call: a batch that is halved takes several calls.
        self._call = AwakeTimer(self._limit_seconds, clock=self._clock)
        try:
            return self._run(pictures)
        finally:
            self._call = None

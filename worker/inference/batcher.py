"""Forms batches across requests: at once when the model is idle, else of what has queued up meanwhile."""

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
# How often those who wait look whether the model hangs.
LOOK_SECONDS = 0.2
# After so many full batches without a failure one of twice the size is tried: whoever else used the card's memory may
# be gone. One that fails then costs one call in hundreds.
CALLS_BEFORE_GROWTH = 200


class PendingRequest:
    """A picture in the queue and, once `ended`, its logits or the error it got instead."""

    def __init__(self, picture: Floats) -> None:
        self.picture = picture
        self.ended = threading.Event()
        self.logits: Floats | None = None
        self.error: Exception | None = None


class Batcher:
    """One thread that runs the model; any number of threads that wait for it, a picture each."""

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

        `give_up` is called with a reason when the model is of no more use: one call takes longer than
        `limit_seconds`, or a picture known to be good fails. Batches begin with `fitting` pictures, if that is known
        to be less than `most`.
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
        # A daemon: a model that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    def logits(self, picture: Floats) -> Floats:
        """Return logits float32 [classes] for one picture float32 [height, width, 3], after waiting for a batch.

        Raises what the model raises for this picture alone.
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
        """How many pictures wait for the model, those that it runs excluded."""
        return self._pending.qsize()

    def close(self) -> None:
        """Run what is queued and end the thread; nobody may ask for logits any more."""
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

    def _next_batch(self) -> list[PendingRequest]:
        """Wait for a picture and take what else is there, up to the limit; empty when it is time to end."""
        batch: list[PendingRequest] = []
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
            # The mark of the end is met again after this batch.
            self._pending.put(None)
        return batch

    def _answer(self, batch: list[PendingRequest]) -> bool:
        """Answer every picture of the batch; return whether there was a bad one among them.

        A batch that fails is halved until it does not: a bad picture is found in log steps, and the others are
        answered on the way. A batch that fails though none of its pictures is bad does not fit into memory.
        """
        if len(batch) > self._fitting:
            # Its other half has shown that already.
            return self._answer_halves(batch)
        try:
            rows = self._logits_of([request.picture for request in batch])
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0], error)
                return True
            log.warning("A batch of %d failed and is halved: %s", len(batch), error)
            return self._answer_halves(batch)
        for request, row in zip(batch, rows, strict=True):
            request.logits = row
            request.ended.set()
        return False

    def _answer_halves(self, batch: list[PendingRequest]) -> bool:
        middle = (len(batch) + 1) // 2
        # Both are run, whatever the first says.
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
            log.warning("Batches of more than %d do not fit: no larger ones are formed for now.", size)
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
        """Tell a bad picture from a broken model, such as a card that is gone: it would fail every job there is."""
        try:
            self._timed(np.zeros((1, *shape), np.float32))
        except Exception as error:
            self._give_up(f"The model fails with any picture: {error}")

    def _logits_of(self, pictures: list[Floats]) -> Floats:
        rows = self._timed(np.stack(pictures))
        if len(rows) != len(pictures):
            raise ValueError(f"The model gave {len(rows)} answers to {len(pictures)} pictures.")
        return rows

    def _timed(self, pictures: Floats) -> Floats:
        # Each call has the whole time for itself: a batch that is halved takes many.
        self._call = AwakeTimer(self._limit_seconds, clock=self._clock)
        try:
            return self._run(pictures)
        finally:
            self._call = None

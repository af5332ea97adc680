"""Forms batches across requests: at once when the model is idle, else of what has queued up meanwhile."""

import logging
import queue
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
# How often those who wait look whether the model hangs.
LOOK_SECONDS = 0.2


class _Place:
    """A picture in the queue and, once `ended`, its logits or the error it got instead."""

    def __init__(self, picture: Floats) -> None:
        self.picture = picture
        self.ended = threading.Event()
        self.logits: Floats | None = None
        self.error: Exception | None = None


class Batcher:
    """One thread that runs the model; any number of threads that wait for it, a picture each."""

    def __init__(
        self, run: Callable[[Floats], Floats], most: int, limit_seconds: float, give_up: Callable[[str], None]
    ) -> None:
        """`run` maps pictures float32 [n, height, width, 3] to logits float32 [n, classes], n up to `most`.

        `give_up` is called with a reason when the model is of no more use: one batch takes longer than
        `limit_seconds`, or a picture known to be good fails.
        """
        self._run = run
        self._most = most
        self._limit_seconds = limit_seconds
        self._give_up = give_up
        self._places: queue.SimpleQueue[_Place | None] = queue.SimpleQueue()
        self._running_since: float | None = None
        # A daemon: a model that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    def logits(self, picture: Floats) -> Floats:
        """Return logits float32 [classes] for one picture float32 [height, width, 3], after waiting for a batch.

        Raises what the model raises for this picture alone.
        """
        place = _Place(picture)
        self._places.put(place)
        while not place.ended.wait(LOOK_SECONDS):
            self._look_after_model()
        if place.error is not None:
            raise place.error
        assert place.logits is not None
        return place.logits

    def close(self) -> None:
        """Run what is queued and end the thread; nobody may ask for logits any more."""
        self._places.put(None)
        self._thread.join()

    def _look_after_model(self) -> None:
        since = self._running_since
        if since is not None and time.monotonic() - since > self._limit_seconds:
            self._give_up(f"The model has not answered for {self._limit_seconds} s.")

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._running_since = time.monotonic()
            self._answer(batch)
            self._running_since = None

    def _next_batch(self) -> list[_Place]:
        """Wait for a picture and take what else is there, up to the limit; empty when it is time to end."""
        batch: list[_Place] = []
        place = self._places.get()
        while place is not None:
            batch.append(place)
            if len(batch) == self._most:
                return batch
            try:
                place = self._places.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            # The mark of the end is met again after this batch.
            self._places.put(None)
        return batch

    def _answer(self, batch: list[_Place]) -> None:
        try:
            rows = self._logits_of([place.picture for place in batch])
        except Exception as error:
            log.warning("A batch of %d failed, its pictures are tried one by one: %s", len(batch), error)
            self._answer_singly(batch)
            return
        for place, row in zip(batch, rows, strict=True):
            place.logits = row
            place.ended.set()

    def _answer_singly(self, batch: list[_Place]) -> None:
        for place in batch:
            try:
                place.logits = self._logits_of([place.picture])[0]
            except Exception as error:
                self._try_good_picture(place.picture.shape)
                place.error = error
            place.ended.set()

    def _try_good_picture(self, shape: tuple[int, ...]) -> None:
        """Tell a bad picture from a broken model, such as a card that is gone: it would fail every job there is."""
        try:
            self._run(np.zeros((1, *shape), np.float32))
        except Exception as error:
            self._give_up(f"The model fails with any picture: {error}")

    def _logits_of(self, pictures: list[Floats]) -> Floats:
        rows = self._run(np.stack(pictures))
        if len(rows) != len(pictures):
            raise ValueError(f"The model gave {len(rows)} answers to {len(pictures)} pictures.")
        return rows

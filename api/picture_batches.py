"""Batches and the jobs of their pictures: opens, follows, cancels and reads them."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from api.admission_control import AdmissionControl
from api.picture_jobs import PictureJobs
from api.preferences import Preferences
from api.waiters import Waiters, never
from shared.batches.models import Batch, BatchRequest, BatchResult, BatchState
from shared.batches.store import Batches
from shared.errors import (
    BatchClosed,
    GoneBatch,
)
from shared.jobs.admission import new_job_id

CANCELED = "This batch was canceled."


class PictureBatches:
    """Opens, follows, cancels and reads batches."""

    def __init__(
        self, batches: Batches, picture_jobs: PictureJobs, admission_control: AdmissionControl, waiters: Waiters
    ) -> None:
        self._batches = batches
        self._picture_jobs = picture_jobs
        self._admission_control = admission_control
        self._waiters = waiters

    def open(self, request: BatchRequest) -> Batch:
        """Open a batch.

        Raises:
            ServerUnfit, QueueFull: no batch was opened.
        """
        self._admission_control.check_server()
        return self._batches.open(new_job_id(), request)

    def get(self, batch_id: str, owner: str | None) -> Batch:
        """Return the batch; raises UnknownBatch, GoneBatch."""
        return self._batches.get(batch_id, owner)

    def close(self, batch_id: str, owner: str | None) -> Batch:
        """Close the batch to further pictures, and return it.

        Raises:
            UnknownBatch, GoneBatch: as `get`.
            BatchClosed: the batch was canceled.
        """
        self._batches.get(batch_id, owner)
        if self._batches.close(batch_id) is BatchState.CANCELED:
            raise BatchClosed(CANCELED)
        return self._batches.get(batch_id, owner)

    def follow(
        self, batch_id: str, preferences: Preferences, owner: str | None, client_left: Callable[[], bool] = never
    ) -> tuple[Batch, Preferences]:
        """Return the batch once it has ended, or in its current state when the client's preferred wait is over.

        The preferences are those that were honored. Raises UnknownBatch, GoneBatch.
        """
        # Subscribe before reading the batch, so that no completion in between is missed.
        with self._waiters.listen(batch_id) as waiter:
            batch = self._batches.get(batch_id, owner)
            seconds = 0 if batch.state.terminal else preferences.wait_seconds or 0
            with self._waiters.slot(wanted=seconds > 0) as may_wait:
                if may_wait:
                    batch = self._waiters.wait_until(
                        waiter, seconds, lambda: self._batches.get(batch_id, owner), client_left
                    )
                elif seconds:
                    preferences = preferences.without_wait()
        return batch, preferences

    def results(self, batch_id: str, owner: str | None, after: int) -> tuple[Batch, Iterator[list[BatchResult]]]:
        """Return the batch, and its results after the first `after`, page by page.

        Raises:
            UnknownBatch, GoneBatch: as `get`; also if the batch was canceled.
        """
        batch = self._batches.get(batch_id, owner)
        if batch.state is BatchState.CANCELED:
            raise GoneBatch(CANCELED)
        return batch, self._batches.results(batch, after)

    def cancel(self, batch_id: str, owner: str | None) -> None:
        """Cancel the batch, or delete it if it is completed: its jobs, pictures and results are forgotten.

        Called again, it goes on where an earlier call was cut off. Raises UnknownBatch.
        """
        with suppress(GoneBatch):
            self._batches.get(batch_id, owner)
        self._batches.cancel(batch_id)
        for job_ids in self._batches.job_ids(batch_id):
            self._picture_jobs.forget_all(job_ids)
        self._batches.forget(batch_id)

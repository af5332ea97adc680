"""Runs jobs in many threads: each decodes in a process of its own and shares the model's batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from worker.decoding.decode import as_input
from worker.decoding.pool import DecodePool, DecoderLease
from worker.inference.batcher import Batcher
from worker.inference.labels import Prediction, top_predictions
from worker.jobs.consumer import JobConsumer
from worker.jobs.runner import PictureClassifier
from worker.metrics import WorkerMetrics


@dataclass(frozen=True)
class BatchClassifier:
    """Classifies the picture of one job in a batch with those of others."""

    model: Mapping[str, str]
    labels: Sequence[str]
    batcher: Batcher
    lease: DecoderLease
    metrics: WorkerMetrics

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`; raises as `DecoderLease.decode`."""
        with self.metrics.decode_timing():
            pixels = self.lease.decode(data)
        return top_predictions(self.batcher.logits(as_input(pixels)), self.labels, top)


class BatchRunner:
    """Runs a job in whichever thread calls it."""

    def __init__(
        self,
        pool: DecodePool,
        batcher: Batcher,
        model: Mapping[str, str],
        labels: Sequence[str],
        make_consumer: Callable[[PictureClassifier], JobConsumer],
        metrics: WorkerMetrics,
    ) -> None:
        """`model` is its name and digest; the consumers that `make_consumer` returns share their connections."""
        self._pool = pool
        self._batcher = batcher
        self._model = model
        self._labels = labels
        self._make_consumer = make_consumer
        self._metrics = metrics

    def run(self, job_id: str) -> None:
        """Run one job as `JobConsumer.run`; DecodeProcessLost if its decoder died."""
        # A job begins when a decoder is free, so that its time is not spent in a line.
        with self._pool.lease() as lease:
            classifier = BatchClassifier(self._model, self._labels, self._batcher, lease, self._metrics)
            self._make_consumer(classifier).run(job_id, seconds=0)

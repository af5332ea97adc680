"""Runs jobs in many threads: each uses its own decode process and shares the model's batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.decoding.decode import as_input
from worker.decoding.pool import DecodePool, DecoderLease
from worker.inference.batcher import Batcher
from worker.inference.labels import Prediction, top_predictions
from worker.inference.model_folder import ModelFolder
from worker.jobs.consumer import JobConsumer
from worker.stage_times import StageTimes


@dataclass(frozen=True)
class BatchClassifier:
    """Classifies the picture of one job in a batch with pictures of other jobs."""

    model: Mapping[str, str]
    labels: Sequence[str]
    batcher: Batcher
    lease: DecoderLease
    times: StageTimes

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`; raises as `DecoderLease.decode`."""
        with self.times.decode_timing():
            pixels = self.lease.decode(data)
        with self.times.model_step():
            logits = self.batcher.logits(as_input(pixels))
        return top_predictions(logits, self.labels, top)


class BatchRunner:
    """Runs tasks, each in the calling thread."""

    def __init__(
        self, consumer: JobConsumer, pool: DecodePool, batcher: Batcher, folder: ModelFolder, times: StageTimes
    ) -> None:
        """All threads share the `consumer`; `times` measures their stages."""
        self._consumer = consumer
        self._pool = pool
        self._batcher = batcher
        # Read once: every access to the digest computes it again.
        self._model = {"name": folder.name, "digest": folder.digest}
        self._labels = folder.labels
        self._times = times

    def run(self, job_id: str, delivery_tag: str) -> None:
        """Run one job, as `JobConsumer.run` does; DecodeProcessLost if its decoder died."""
        # Start the job only when a decoder is free, so that its time limit does not include the wait.
        with self._pool.lease() as lease:
            classifier = BatchClassifier(self._model, self._labels, self._batcher, lease, self._times)
            self._consumer.run(job_id, delivery_tag, classifier)

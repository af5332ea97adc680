"""Times the stages of a job, for metrics and traces."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from numpy.typing import NDArray

from shared.tracing import Span, Tracing
from worker.metrics import WorkerMetrics

Floats = NDArray[np.float32]


class StageTimes:
    """Measures decoding and inference, and records both as steps of the trace that their thread is in."""

    def __init__(self, metrics: WorkerMetrics, tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing

    @contextmanager
    def decode_timing(self) -> Iterator[None]:
        """Time the decoding of one picture."""
        with self._tracing.step("decode"), self._metrics.decode_timing():
            yield

    def timed(self, run: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
        """Return the model `run` with timing added."""
        timed_run = self._metrics.timed(run)

        def traced_run(pictures: Floats) -> Floats:
            with self.model_step():
                return timed_run(pictures)

        return traced_run

    def model_step(self) -> AbstractContextManager[Span]:
        """Record the block as the time that a job waits for the model, without measuring it for the metrics."""
        return self._tracing.step("model")

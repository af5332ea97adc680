"""A thread of a worker with batches: it leases a decoder for each picture and shares the model with other threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.inference.labels import Prediction
from worker.jobs.batch_runner import BatchRunner


class Stubs:
    """Stands in for pool, lease, batcher, times, model folder and consumer; records the calls in order."""

    name = "stub"
    digest = "0"
    labels = ("cat", "dog")

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.found: list[Prediction] = []
        self.model: Any = None

    @contextmanager
    def lease(self) -> Iterator["Stubs"]:
        self.calls.append("lease")
        yield self
        self.calls.append("end of the lease")

    @contextmanager
    def decode_timing(self) -> Iterator[None]:
        self.calls.append("timing")
        yield
        self.calls.append("end of the timing")

    @contextmanager
    def model_step(self) -> Iterator[None]:
        self.calls.append("step")
        yield
        self.calls.append("end of the step")

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        self.calls.append(f"decode {data.decode()}")
        return np.full((1, 1, 3), 255, np.uint8)

    def logits(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls.append(f"model {picture.max():.0f}")
        return np.array([0, 100], np.float32)

    def run(self, job_id: str, delivery_tag: str, classifier: Any) -> None:
        self.calls.append(f"run {job_id} {delivery_tag}")
        self.found = classifier.classify(b"data", 1)
        self.model = classifier.model


def test_a_task_is_run_with_a_decoder_and_the_shared_model() -> None:
    # Given stubs for all parts
    stubs = Stubs()
    parts: Any = (stubs, stubs, stubs, stubs, stubs)
    # When a thread runs a task
    BatchRunner(*parts).run("j", "tag")
    # Then the job starts once a decoder is leased, and only decoding is timed as decoding
    decoding = ["timing", "decode data", "end of the timing"]
    assert stubs.calls == ["lease", "run j tag", *decoding, "step", "model 1", "end of the step", "end of the lease"]
    # And the result has the labels of this model
    assert (stubs.found, stubs.model) == ([Prediction("dog", 1.0)], {"name": "stub", "digest": "0"})

"""Classifies one picture: decode, run the model, take the top labels."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.decoding.decode import decode
from worker.inference.engines import Engine
from worker.inference.labels import Prediction, top_predictions
from worker.inference.model_folder import ModelFolder

Floats = NDArray[np.float32]


class Times(Protocol):
    """Timing hooks; a protocol, because other servers use the classifier without `worker.metrics`."""

    def decode_timing(self) -> AbstractContextManager[None]:
        """Time the decoding of one picture."""

    def timed(self, run: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
        """Return the model `run` with timing added."""


class Classifier:
    """Classifies pictures with one model; `model` is its name and digest, which are part of every result."""

    def __init__(
        self,
        engine: Engine,
        folder: ModelFolder,
        decoding: AbstractContextManager[None] | None = None,
        times: Times | None = None,
    ) -> None:
        """`decoding` is entered while a picture is decoded; `times` measures decoding and inference."""
        self._folder = folder
        self._decoding = decoding or nullcontext()
        self._decode_timing = times.decode_timing if times else nullcontext
        self._logits = times.timed(engine.logits) if times else engine.logits
        # Read once: every access to the digest computes it again.
        self.model: Mapping[str, str] = {"name": folder.name, "digest": folder.digest}

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`; raises as `decode` does."""
        manifest = self._folder.manifest
        with self._decoding, self._decode_timing():
            picture = decode(data, manifest.input_height, manifest.input_width)
        logits = self._logits(picture[None])[0]
        return top_predictions(logits, self._folder.labels, top)

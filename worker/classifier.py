"""Bytes in, labels out: decode, network, top k."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from worker.decode import decode
from worker.engines import Engine
from worker.labels import Prediction, top_predictions
from worker.model_folder import ModelFolder


class Classifier:
    """Classifies pictures with one model; `model` is its name and digest, as shown with every answer."""

    def __init__(
        self, engine: Engine, folder: ModelFolder, decoding: AbstractContextManager[None] | None = None
    ) -> None:
        """`decoding` is entered while a picture is decoded."""
        self._engine = engine
        self._folder = folder
        self._decoding = decoding or nullcontext()
        # Taken once: the digest is computed anew each time it is asked for.
        self.model: Mapping[str, str] = {"name": folder.name, "digest": folder.digest}

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`; raises as `decode` does."""
        manifest = self._folder.manifest
        with self._decoding:
            picture = decode(data, manifest.input_height, manifest.input_width)
        logits = self._engine.logits(picture[None])[0]
        return top_predictions(logits, self._folder.labels, top)

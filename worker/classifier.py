"""Bytes in, labels out: decode, network, top k."""

from worker.decode import decode
from worker.engines import Engine
from worker.labels import Prediction, top_predictions
from worker.model_folder import ModelFolder


class Classifier:
    """Classifies pictures with one model."""

    def __init__(self, engine: Engine, folder: ModelFolder) -> None:
        self._engine = engine
        self._folder = folder

    @property
    def model(self) -> dict[str, str]:
        """Name and digest of the model, as shown with every answer."""
        return {"name": self._folder.name, "digest": self._folder.digest}

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        """Return the `top` most likely labels of the picture in `data`; raises as `decode` does."""
        manifest = self._folder.manifest
        picture = decode(data, manifest.input_height, manifest.input_width)
        logits = self._engine.logits(picture[None])[0]
        return top_predictions(logits, self._folder.labels, top)

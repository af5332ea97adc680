"""The inference libraries behind one interface; no other file imports them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.inference.model_folder import ModelFolder


class Engine(Protocol):
    """Runs the network of one model folder."""

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map pictures float32 [n, height, width, 3] in [0, 1] to logits float32 [n, classes]."""


def verify_model(name: str, folder: ModelFolder) -> None:
    """Check the files that the engine `name` is going to load.

    Raises:
        ModelFolderError: one is missing or damaged.
    """
    if name == "litert":
        folder.verify_tflite()
    else:
        folder.verify_saved_model()


def load_engine(name: str, folder: ModelFolder) -> Engine:
    """Load the engine `litert` or `tensorflow` with the model in `folder` and run it once, so that it is warm."""
    if name == "litert":
        from worker.inference.engines.litert import LiteRTEngine

        engine: Engine = LiteRTEngine(folder)
    else:
        from worker.inference.engines.tensorflow import TensorFlowEngine

        engine = TensorFlowEngine(folder)
    manifest = folder.manifest
    engine.logits(np.zeros((1, manifest.input_height, manifest.input_width, 3), np.float32))
    return engine

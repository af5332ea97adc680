"""TensorFlow: for GPUs, and for SavedModels that cannot be converted to LiteRT."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from worker.inference.image_function import find_image_function


class TensorFlowEngine:
    """Runs the SavedModel with any number of pictures at once, on the GPU if TensorFlow finds one."""

    def __init__(self, model: Path) -> None:
        """Load the verified SavedModel in the folder `model`."""
        for gpu in tf.config.list_physical_devices("GPU"):
            # Allocate memory as needed, so that several workers can share a GPU.
            tf.config.experimental.set_memory_growth(gpu, True)
        # Keep a reference to the model: the function alone does not keep its variables alive.
        self._model: Any = tf.saved_model.load(str(model))
        found = find_image_function(self._model)
        # One trace for all batch sizes: otherwise each new size costs at least a tenth of a second.
        pictures = tf.TensorSpec([None, found.height, found.width, 3], tf.float32)
        self._run: Any = tf.function(found.call, input_signature=[pictures])

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map pictures float32 [n, height, width, 3] in [0, 1] to logits float32 [n, classes]."""
        return np.asarray(self._run(tf.constant(pictures)), dtype=np.float32)

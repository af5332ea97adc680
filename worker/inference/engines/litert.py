"""LiteRT: one single-threaded interpreter, the fastest choice on CPUs if every core has a process."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


class LiteRTEngine:
    """Runs `model.tflite`, which has a fixed batch size of one."""

    def __init__(self, model: Path) -> None:
        """Load the verified file `model`."""
        self._interpreter = Interpreter(model_path=str(model), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map pictures float32 [n, height, width, 3] in [0, 1] to logits float32 [n, classes], one by one."""
        return np.concatenate([self._one(picture[np.newaxis]) for picture in pictures])

    def _one(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, picture)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output), dtype=np.float32)

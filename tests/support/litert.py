"""Runs a prepared model as the CPU engine does."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from worker.inference.model_folder import TFLITE, ModelFolder


def litert_logits(folder: ModelFolder, pictures: NDArray[Any]) -> NDArray[Any]:
    """float32 [1, height, width, 3] in [0, 1] -> float32 [1, classes]."""
    interpreter = Interpreter(model_path=str(folder.verify(TFLITE)), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pictures)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

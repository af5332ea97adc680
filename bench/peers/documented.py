"""The classifier as somebody writes it from the documentation of Pillow and LiteRT, without this project's code."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image


def load_documented(model: Path) -> Callable[[bytes], dict[str, Any]]:
    """Load a model folder; return what maps a picture to the original program's answer."""
    interpreter = Interpreter(model_path=str(model / "model.tflite"))
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    height, width = into["shape"][1:3]
    labels = [line.partition(",")[0].strip() for line in (model / "labels.txt").read_text("utf-8").splitlines()]

    def classify(data: bytes) -> dict[str, Any]:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((width, height))
        interpreter.set_tensor(into["index"], np.asarray(image, np.float32)[np.newaxis] / 255)
        interpreter.invoke()
        logits = interpreter.get_tensor(out["index"])[0]
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        best = probabilities.argsort()[-3:][::-1]
        return {
            f"prediction_{place}": {
                "confidence_level": round(float(probabilities[index]), 5),
                "predicted_label": labels[index],
            }
            for place, index in enumerate(best, start=1)
        }

    return classify

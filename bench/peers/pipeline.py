"""This project's own decode, engine and labels, for programs that bring another server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.images.inspect import set_up_pillow
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine
from worker.inference.model_folder import ModelFolder


def load_pipeline(model: Path) -> Callable[[bytes], dict[str, Any]]:
    """Load a model folder; return what maps a picture to the original program's answer."""
    set_up_pillow()
    folder = ModelFolder.open(model)
    classifier = Classifier(load_engine("litert", folder), folder)

    def classify(data: bytes) -> dict[str, Any]:
        return {
            f"prediction_{place}": {"confidence_level": found.confidence, "predicted_label": found.label}
            for place, found in enumerate(classifier.classify(data, 3), start=1)
        }

    return classify

"""The product's own decode, engine and labels, for programs that bring another server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.images.inspect import set_up_pillow
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine
from worker.inference.model_folder import ModelFolder

WORKERS = int(os.environ.get("WORKERS", "2"))


def load_classifier() -> Callable[[bytes], dict[str, Any]]:
    """Load the model that MODEL_DIR and ENGINE name; return what maps a picture to the original program's answer."""
    set_up_pillow()
    folder = ModelFolder.open(Path(os.environ["MODEL_DIR"]))
    classifier = Classifier(load_engine(os.environ["ENGINE"], folder), folder)

    def classify(data: bytes) -> dict[str, Any]:
        return {
            f"prediction_{place}": {"confidence_level": found.confidence, "predicted_label": found.label}
            for place, found in enumerate(classifier.classify(data, 3), start=1)
        }

    return classify

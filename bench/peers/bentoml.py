"""`bentoml serve bench.peers.bentoml:Service`: BentoML, one worker a core; a form with a file."""

from pathlib import Path
from typing import Any

import bentoml

from bench.peers.classifier import WORKERS, load_classifier


@bentoml.service(workers=WORKERS)
class Service:
    """Bytes in, labels out."""

    def __init__(self) -> None:
        self._classify = load_classifier()

    @bentoml.api
    def classify(self, image: Path) -> dict[str, Any]:
        return self._classify(image.read_bytes())

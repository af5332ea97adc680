"""The classifier of a peer: its users' own code, or this project's pipeline, to compare the servers alone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS = int(os.environ.get("WORKERS", "2"))
# The value of CODE that chooses this project's pipeline.
PIPELINE = "pipeline"


def load_classifier() -> Callable[[bytes], dict[str, Any]]:
    """Load the model in MODEL_DIR; return what maps a picture to the original program's answer."""
    model = Path(os.environ["MODEL_DIR"])
    if os.environ.get("CODE") == PIPELINE:
        from bench.peers.pipeline import load_pipeline

        return load_pipeline(model)
    from bench.peers.documented import load_documented

    return load_documented(model)

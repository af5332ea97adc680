"""The models of a run: the one of TOPTHREE_TEST_MODEL, else the one that needs no hub."""

import os
import subprocess
import sys
from pathlib import Path

from bench.processes import ROOT


def prepare_model(precision: str = "float32") -> Path:
    """Prepare the model with a precision of its weights; return its folder."""
    source = os.environ.get("TOPTHREE_TEST_MODEL")
    name = str(Path(source).resolve()) if source else "efficientnet_lite0"
    # How well int8 agrees is told by its own report; here only its speed counts.
    options = ["--model", name, "--precision", precision, "--min-agreement", "0"]
    command = [sys.executable, "-m", "worker.prepare", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return ROOT / done.stdout.strip()

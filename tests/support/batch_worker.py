"""`python -m tests.support.batch_worker`: the real worker that forms batches, with a stand-in for the network.

The colour of a picture decides: greys get the label at their value in the model's list, red ones make the model raise,
blue ones make it hang for as long as the file in HANG exists, which is deleted then.
"""

import io
import os
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.log import configure_logging
from shared.settings import Settings
from tests.support.wait import take_time
from worker.batch_app import serve_in_batches
from worker.inference.model_folder import ModelFolder
from worker.metrics import open_metrics
from worker.services import Services

# The variable that sets how many seconds one batch takes, whatever its size.
BATCH_SECONDS = "STUB_BATCH_SECONDS"
# The variable that names a file.
HANG = "STUB_HANG"
# The variable that names a file in which stands how many pictures fit into memory; all, while there is none.
FITS = "STUB_FITS"

RED = (255, 0, 0)
BLUE = (0, 0, 255)


def make_picture(colour: int | tuple[int, int, int]) -> bytes:
    """Return a PNG of one colour, or of one grey (0 to 255)."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour if isinstance(colour, tuple) else (colour,) * 3).save(file, "PNG")
    return file.getvalue()


class StubEngine:
    """Logits that are 20 at the value of a grey picture and 0 elsewhere."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._seconds = float(os.environ.get(BATCH_SECONDS, "0"))
        self._hang = Path(os.environ.get(HANG, "/nonexistent"))
        self._fits = Path(os.environ.get(FITS, "/nonexistent"))

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        take_time(self._seconds)
        if self._fits.exists() and len(pictures) > int(self._fits.read_text("ascii")):
            raise MemoryError("OOM when allocating a tensor")
        colours = np.rint(255 * pictures.mean(axis=(1, 2))).astype(int).tolist()
        if list(RED) in colours:
            raise ValueError("red is not taken")
        if list(BLUE) in colours and self._hang.exists():
            self._hang.unlink()
            threading.Event().wait()
        rows = np.zeros((len(pictures), self._classes), np.float32)
        rows[range(len(pictures)), [colour[0] for colour in colours]] = 20
        return rows


def main() -> int:
    settings = Settings.from_environ(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    folder = ModelFolder.open(Path(settings.model_dir))
    with open_metrics(settings) as metrics:
        services = Services.from_settings(settings, folder, metrics)
        return serve_in_batches(services, folder, partial(StubEngine, folder.manifest.class_count))


if __name__ == "__main__":
    sys.exit(main())

"""The pictures of a run: photographs of several sizes, all different, with the label that each must get."""

import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bench.peers.documented import load_documented
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine
from worker.inference.model_folder import ModelFolder

# Photographs that lie inside the package scikit-image.
PHOTOGRAPHS = (
    *("astronaut.png", "chelsea.png", "clock_motion.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png"),
    *("motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "rocket.jpg"),
)
# Name: width, height, JPEG quality, how many.
SIZES = {"512": (512, 512, 90, 400), "1080p": (1920, 1080, 85, 60), "12mp": (4000, 3000, 85, 16)}
# A label that is nearly a tie may differ between engines that are both right.
LEAST_MARGIN = 0.05
# Raise it when other pictures are made.
VERSION = 2


@dataclass(frozen=True)
class Picture:
    """A file and the label that the most likely class has."""

    path: str
    label: str


def prepare_pictures(folder: Path, model: Path, sizes: list[str], most: int | None = None) -> dict[str, list[Picture]]:
    """Return the pictures of each size, at most `most`, making in `folder` what is not there yet."""
    digest = hashlib.sha256((model / "model.json").read_bytes()).hexdigest()[:12]
    with ProcessPoolExecutor() as pool:
        found = {}
        for size in sizes:
            count = min(SIZES[size][3], most or SIZES[size][3])
            made = pool.map(partial(_make, folder, model, digest, size), range(count * 2), chunksize=4)
            found[size] = [picture for picture in made if picture is not None][:count]
    return found


def _make(folder: Path, model: Path, digest: str, size: str, number: int) -> Picture | None:
    """Make picture `number`, or find it; None if its label is nearly a tie."""
    path = folder / f"{size}-{VERSION}" / f"{number}.jpg"
    note = path.with_suffix(f".{digest}.json")
    if not note.exists():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_draw(size, number))
        note.write_text(json.dumps(_label(model, path.read_bytes())), "utf-8")
    label = json.loads(note.read_text("utf-8"))
    return Picture(str(path), label) if label else None


def _label(model: Path, data: bytes) -> str:
    """Return the label of a picture; empty if it is nearly a tie, or if the two classifiers disagree."""
    ours, documented = _classifiers(model)
    first, second = ours.classify(data, 2)
    agreed = documented(data)["prediction_1"]["predicted_label"] == first.label
    return first.label if agreed and first.confidence - second.confidence >= LEAST_MARGIN else ""


@cache
def _classifiers(model: Path) -> tuple[Classifier, Callable[[bytes], dict[str, Any]]]:
    folder = ModelFolder.open(model)
    return Classifier(load_engine("litert", folder), folder), load_documented(model)


def _draw(size: str, number: int) -> bytes:
    """Return a JPEG: a part of a photograph, perhaps mirrored, with the grain of a camera."""
    width, height, quality, _ = SIZES[size]
    random = np.random.default_rng([number, width])
    with Image.open(io.BytesIO(_packaged(PHOTOGRAPHS[number % len(PHOTOGRAPHS)]))) as image:
        whole = image.convert("RGB")
    part = random.uniform(0.7, 1.0)
    left, top = (random.uniform(0, side * (1 - part)) for side in whole.size)
    crop = whole.crop((int(left), int(top), int(left + whole.width * part), int(top + whole.height * part)))
    crop = ImageOps.mirror(crop) if random.random() < 0.5 else crop
    values = np.asarray(crop.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = random.integers(-6, 7, size=(height, width, 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(values + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _packaged(name: str) -> bytes:
    return (files("skimage") / "data" / name).read_bytes()

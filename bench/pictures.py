"""The pictures of a run: real ones of several sizes, all different, with the label that each must get."""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

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
VERSION = 1


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
    """Make picture `number`, or find it; None when its label is nearly a tie."""
    path = folder / f"{size}-{VERSION}" / f"{number}.jpg"
    note = path.with_suffix(f".{digest}.json")
    if not note.exists():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_draw(size, number))
        first, second = _classifier(model).classify(path.read_bytes(), 2)
        note.write_text(json.dumps([first.label, first.confidence - second.confidence]), "utf-8")
    label, margin = json.loads(note.read_text("utf-8"))
    return Picture(str(path), label) if margin >= LEAST_MARGIN else None


_loaded: dict[Path, Classifier] = {}


def _classifier(model: Path) -> Classifier:
    if model not in _loaded:
        folder = ModelFolder.open(model)
        _loaded[model] = Classifier(load_engine("litert", folder), folder)
    return _loaded[model]


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


def mixed(pictures: dict[str, list[Picture]]) -> list[Picture]:
    """Return a trace of all sizes: of ten pictures six small ones, three of 1080p, one of 12 megapixels."""
    turns = {size: _endless(found) for size, found in pictures.items()}
    order = ("512", "1080p", "512", "512", "1080p", "512", "12mp", "512", "1080p", "512")
    return [next(turns[size]) for size in order * 12 if size in turns]


def _endless(pictures: list[Picture]) -> Iterator[Picture]:
    while True:
        yield from pictures

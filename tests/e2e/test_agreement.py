"""Both engines, and the whole pipeline with its shortcuts, agree with the original program's way."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import Sample, corpus
from worker.decoding.decode import decode
from worker.inference.engines import Engine, load_engine
from worker.inference.labels import softmax
from worker.inference.model_folder import ModelFolder

Floats = NDArray[np.float32]


@dataclass
class Comparison:
    """Top-1 agreement and the largest difference in any confidence over many pictures."""

    pictures: int = 0
    disagreements: list[str] = field(default_factory=list)
    largest_difference: float = 0.0
    where: str = ""

    def add(self, name: str, found: Floats, expected: Floats) -> None:
        difference = float(np.abs(found - expected).max())
        self.pictures += 1
        if found.argmax() != expected.argmax():
            self.disagreements.append(name)
        if difference > self.largest_difference:
            self.largest_difference, self.where = difference, name

    @property
    def agreement(self) -> float:
        return 1 - len(self.disagreements) / self.pictures

    def __str__(self) -> str:
        but = f" but {self.disagreements}" if self.disagreements else ""
        return (
            f"the same label for {100 * self.agreement:.1f} % of {self.pictures} pictures{but}, "
            f"largest confidence difference {self.largest_difference:.6f} ({self.where})"
        )


@dataclass
class Engines:
    """One model in both engines."""

    folder: ModelFolder
    litert: Engine
    tensorflow: Engine

    @classmethod
    def load(cls, path: Path) -> "Engines":
        folder = ModelFolder.open(path)
        return cls(folder, load_engine("litert", folder), load_engine("tensorflow", folder))

    def decode(self, sample: Sample) -> Floats:
        return decode(sample.data, self.folder.manifest.input_height, self.folder.manifest.input_width)

    def decode_as_the_original(self, sample: Sample) -> Floats:
        size = (self.folder.manifest.input_width, self.folder.manifest.input_height)
        with Image.open(io.BytesIO(sample.data)) as image:
            small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        return np.asarray(small, dtype=np.float32) / np.float32(255)


def confidences(engine: Engine, picture: Floats) -> Floats:
    return softmax(engine.logits(picture[np.newaxis])[0])


@pytest.fixture(scope="module")
def engines(model_dirs: list[Path]) -> list[Engines]:
    return [Engines.load(path) for path in model_dirs]


def test_engines_and_pipeline_agree_with_the_original(
    engines: list[Engines], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given every model in both engines, and real pictures of many sizes and formats
    between_engines = [Comparison() for _ in engines]
    with_the_original = [Comparison() for _ in engines]
    for sample in corpus():
        for model, by_engine, by_pipeline in zip(engines, between_engines, with_the_original, strict=True):
            # When LiteRT and TensorFlow get the same picture, and TensorFlow what the original program made of it
            picture = model.decode(sample)
            found = confidences(model.litert, picture)
            by_engine.add(sample.name, found, confidences(model.tensorflow, picture))
            original = confidences(model.tensorflow, model.decode_as_the_original(sample))
            by_pipeline.add(sample.name, found, original)
    with capsys.disabled():
        for model, by_engine, by_pipeline in zip(engines, between_engines, with_the_original, strict=True):
            print(f"\n{model.folder.name}, LiteRT with TensorFlow: {by_engine}")
            print(f"{model.folder.name}, pipeline with the original: {by_pipeline}")
    # Then the engines give the same label always, with the same confidences
    assert all(comparison.pictures >= 60 for comparison in between_engines)
    assert not any(comparison.disagreements for comparison in between_engines), between_engines
    assert all(comparison.largest_difference <= 0.005 for comparison in between_engines), between_engines
    # And the pipeline gives the label of the original in at least 98 %
    assert all(comparison.agreement >= 0.98 for comparison in with_the_original), with_the_original

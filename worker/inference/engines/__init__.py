"""Common interface and registry of the inference libraries; only the modules of this folder import them."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.inference.model_folder import SAVED_MODEL, TFLITE, ModelFolder, ModelFolderError
from worker.native_messages import native_messages_held_back


class Engine(Protocol):
    """Runs the network of one model folder."""

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map pictures float32 [n, height, width, 3] in [0, 1] to logits float32 [n, classes]."""


class UnknownEngine(ValueError):
    """The setting ENGINE names no engine; the message lists the engines."""


@dataclass(frozen=True)
class EngineEntry:
    """Description of an engine, available without loading it."""

    implementation: str
    """`module:class`; imported only when used, as no worker has every library. The class takes the path of `model`."""
    model: str
    """The file or subfolder of a model folder that the engine loads."""
    batches: bool
    """Whether one run with many pictures is faster than many runs with one; if so, the worker forms batches."""
    device: str


# To add an engine, add a module to this folder and a line here.
ENGINES = {
    "litert": EngineEntry(f"{__name__}.litert:LiteRTEngine", TFLITE, batches=False, device="CPU"),
    "tensorflow": EngineEntry(f"{__name__}.tensorflow:TensorFlowEngine", SAVED_MODEL, batches=True, device="GPU, CPU"),
}


def find_engine(name: str) -> EngineEntry:
    """Return the entry of an engine; UnknownEngine if none has this name."""
    if name not in ENGINES:
        known = ", ".join(f"{other} ({entry.device})" for other, entry in ENGINES.items())
        raise UnknownEngine(f"ENGINE={name!r}: there is no such engine. Use one of these: {known}.")
    return ENGINES[name]


def verify_model(name: str, folder: ModelFolder) -> None:
    """Verify the files that the engine `name` loads.

    Raises:
        ModelFolderError: one is missing or damaged.
    """
    model = find_engine(name).model
    others = [f"ENGINE={other}" for other, entry in ENGINES.items() if folder.has(entry.model)]
    if others and not folder.has(model):
        raise ModelFolderError(
            f"the model {folder.name} has no {model}, as it was not converted for ENGINE={name}: "
            f"use {' or '.join(others)}"
        )
    folder.verify(model)


def load_engine(name: str, folder: ModelFolder) -> Engine:
    """Load the engine `name` with the model in `folder`, and run it once to warm it up.

    What its library writes to standard error meanwhile is shown only if that fails.
    """
    entry = find_engine(name)
    manifest = folder.manifest
    with native_messages_held_back():
        engine: Engine = resolve_name(entry.implementation)(folder.path / entry.model)
        engine.logits(np.zeros((1, manifest.input_height, manifest.input_width, 3), np.float32))
    return engine

"""Finds the function of a loaded SavedModel that classifies pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

# TF-Hub's common signature for image classification.
IMAGE_CLASSIFICATION = "one float32 input [batch, height, width, 3] in 0..1 and one output [batch, classes] of logits"
_OUTPUT_NAMES = ("logits", "default")
# The first is the default of tf.saved_model.save; models made with TensorFlow 1 use the others.
_SIGNATURE_NAMES = ("serving_default", "image_classification", "default")


class NoImageFunction(ValueError):
    """A SavedModel is not an image classifier; the message lists the inputs it takes."""


@dataclass(frozen=True)
class ImageFunction:
    """A function from pictures to logits, and the size of its pictures in pixels."""

    height: int
    width: int
    call: Callable[[Any], Any]
    """float32 tensor [n, height, width, 3] in [0, 1] -> float32 tensor [n, classes] of logits."""


def find_image_function(model: Any) -> ImageFunction:
    """Return the first function of a loaded SavedModel that takes pictures of a fixed size: a signature or `__call__`.

    Raises NoImageFunction: the model has none.
    """
    refused = []
    for name, function, call in _candidates(model):
        specs = _input_specs(function)
        shape = _picture_shape(specs)
        if shape and None not in shape:
            return ImageFunction(*shape, call)
        refused.append(f"{name} takes {[str(spec.shape) for spec in specs]}")
    raise NoImageFunction(
        f"the SavedModel is not an image classifier (expected: {IMAGE_CLASSIFICATION}): "
        + ("; ".join(refused) or "it has no function that can be called")
    )


def _candidates(model: Any) -> Iterator[tuple[str, Any, Callable[[Any], Any]]]:
    """Yield name, concrete function, and a callable that takes only the pictures."""
    for name in _SIGNATURE_NAMES:
        if name in model.signatures:
            yield name, model.signatures[name], partial(_call_signature, model.signatures[name])
    for function in model.__call__.concrete_functions if callable(model) else []:
        yield "__call__", function, model


def _input_specs(function: Any) -> list[Any]:
    """Return the tensors that a concrete function takes, without plain values such as `training`."""
    positional, named = function.structured_input_signature
    return [spec for spec in [*positional, *named.values()] if hasattr(spec, "shape")]


def _picture_shape(specs: list[Any]) -> tuple[Any, Any] | None:
    """Return height and width, each None if not fixed; None unless the only input is a batch of RGB pictures."""
    if len(specs) != 1 or specs[0].dtype.name != "float32" or specs[0].shape.rank is None:
        return None
    match list(specs[0].shape):
        case [None, height, width, 3]:
            return height, width
    return None


def _call_signature(signature: Any, pictures: Any) -> Any:
    """Call a signature: it takes its input by name and returns a dictionary."""
    (argument,) = signature.structured_input_signature[1]
    outputs = signature(**{argument: pictures})
    for name in _OUTPUT_NAMES:
        if name in outputs:
            return outputs[name]
    if len(outputs) > 1:
        raise NoImageFunction(
            f"the SavedModel has several outputs and none called logits: {', '.join(sorted(outputs))}"
        )
    return next(iter(outputs.values()))

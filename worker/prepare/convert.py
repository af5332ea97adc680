"""Loads a SavedModel, tests it and converts it to LiteRT."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.inference.image_function import IMAGE_CLASSIFICATION, ImageFunction, NoImageFunction, find_image_function
from worker.native_messages import native_messages_held_back
from worker.prepare.errors import NotConvertible, PrepareError
from worker.prepare.lazy_tensorflow import import_litert, import_tensorflow
from worker.prepare.progress import step

Floats = npt.NDArray[np.float32]

# Share of the largest logit. Other summation orders in float32 differ by about 2e-6, a wrong conversion by about 1.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Classifier:
    """A loaded SavedModel that has classified one fixed random picture."""

    model: Any
    function: ImageFunction
    picture: Floats
    """[1, height, width, 3] in [0, 1]."""
    logits: Floats
    """The output for `picture`, [1, classes]."""

    @property
    def class_count(self) -> int:
        """Number of classes of the model."""
        return int(self.logits.shape[1])


def load_classifier(saved_model: Path) -> Classifier:
    """Load a SavedModel and run it once.

    Raises PrepareError: it cannot be loaded, or it is not an image classifier.
    """
    tf = import_tensorflow()
    with step("loading the SavedModel"):
        try:
            model = tf.saved_model.load(str(saved_model))
        except (tf.errors.OpError, OSError, ValueError, KeyError) as error:
            raise PrepareError(f"the SavedModel cannot be loaded: {first_line(error)}") from error
        try:
            function = find_image_function(model)
        except NoImageFunction as error:
            raise PrepareError(str(error)) from error
        picture = np.random.default_rng(0).random((1, function.height, function.width, 3), np.float32)
        try:
            logits = np.asarray(function.call(tf.constant(picture)))
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise PrepareError(f"the SavedModel fails on a picture: {first_line(error)}") from error
    _check_logits(logits)
    return Classifier(model, function, picture, logits)


def to_litert(classifier: Classifier) -> bytes:
    """Return the model as a LiteRT file with a batch size of one.

    Raises NotConvertible: LiteRT lacks one of its operations, or the output of the converted model differs.
    """
    litert = import_litert()
    with step("converting to LiteRT"):
        try:
            with native_messages_held_back():
                converter = converter_of(classifier)
                content = bytes(converter.convert())
                logits = _run_litert(litert, content, classifier.picture)
        except Exception as error:  # the converter may raise any error
            raise NotConvertible(first_line(error)) from error
    difference = float(np.abs(logits - classifier.logits).max() / np.abs(classifier.logits).max())
    if not difference <= _TOLERANCE:  # in this form NaN fails too
        raise NotConvertible(f"the logits of the converted model differ by up to {difference:.3g} of the largest logit")
    return content


def converter_of(classifier: Classifier) -> Any:
    """Return a `tf.lite.TFLiteConverter` for one picture at a time."""
    tf = import_tensorflow()
    spec = tf.TensorSpec(classifier.picture.shape, tf.float32, name="inputs")
    one = tf.function(lambda inputs: {"logits": classifier.function.call(inputs)}, input_signature=[spec])
    return tf.lite.TFLiteConverter.from_concrete_functions([one.get_concrete_function()], classifier.model)


def first_line(error: Exception) -> str:
    """Return the first line of the error's message that says something, else the name of its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_logits(logits: npt.NDArray[Any]) -> None:
    if logits.ndim != 2 or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise PrepareError(
            f"the SavedModel is not an image classifier (expected: {IMAGE_CLASSIFICATION}): "
            f"its output is {logits.dtype} {logits.shape}"
        )
    if logits.min() >= 0 and abs(float(logits.sum()) - 1) < _TOLERANCE:
        raise PrepareError("the SavedModel returns probabilities; it must return logits (the values before softmax)")


def _run_litert(litert: Any, content: bytes, pictures: Floats) -> Floats:
    interpreter = litert.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pictures)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), np.float32)

"""Converts a SavedModel to LiteRT with 8-bit integers."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.native_messages import native_messages_held_back
from worker.prepare.convert import Classifier, converter_of, first_line
from worker.prepare.errors import NotConvertible
from worker.prepare.lazy_tensorflow import import_tensorflow
from worker.prepare.progress import step


def to_int8_litert(classifier: Classifier, pictures: Sequence[NDArray[np.float32]]) -> bytes:
    """Return the model as a LiteRT file with int8 operations, weights quantised per channel.

    `pictures`, [1, height, width, 3] each, determine the ranges of the activations. Input and output stay float32, so
    that the engine is the same for every precision.

    Raises NotConvertible: an operation has no int8 form.
    """
    tf = import_tensorflow()

    def calibration() -> Iterator[list[NDArray[np.float32]]]:
        return ([picture] for picture in pictures)

    with step(f"quantising to int8 with {len(pictures)} photographs"):
        try:
            with native_messages_held_back():
                converter = converter_of(classifier)
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = calibration
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                return bytes(converter.convert())
        except Exception as error:  # the converter may raise any error
            raise NotConvertible(first_line(error)) from error

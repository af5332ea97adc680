"""SavedModels that are made in a moment: the mean colour of a picture, times a matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worker.prepare.lazy_tensorflow import import_tensorflow

HEIGHT, WIDTH = 8, 10


def save_small_model(
    folder: Path,
    classes: int = 2,
    *,
    seed: int = 0,
    size: tuple[int | None, int | None] = (HEIGHT, WIDTH),
    last: Callable[[Any], Any] = lambda logits: logits,
    signature: bool = True,
) -> Path:
    """Save an image classifier with random weights; `last` is applied to its logits.

    With `signature` it has a `serving_default` beside `__call__`.
    """
    tf = import_tensorflow()
    module = tf.Module()
    module.weights = tf.Variable(np.random.default_rng(seed).normal(size=(3, classes)).astype(np.float32))
    pictures = tf.TensorSpec([None, *size, 3], tf.float32, name="inputs")
    module.__call__ = tf.function(
        lambda inputs: last(tf.reduce_mean(inputs, [1, 2]) @ module.weights), input_signature=[pictures]
    )
    serving = tf.function(lambda inputs: {"logits": module.__call__(inputs)}, input_signature=[pictures])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serving} if signature else {})
    return folder

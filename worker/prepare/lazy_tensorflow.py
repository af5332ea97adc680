"""The one door to TensorFlow: imported late, because that takes seconds and is seldom needed."""

import sys
import warnings
from typing import Any

from worker.prepare.progress import native_messages_held_back, step


def import_tensorflow() -> Any:
    """The `tensorflow` module, which reports errors only and leaves GPUs alone."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with step("importing TensorFlow"), native_messages_held_back():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        # Preparing needs no GPU, and would reserve all memory of one that a worker is using.
        tf.config.set_visible_devices([], "GPU")
        tf.constant(0)  # starts the runtime, which introduces itself
    return tf


def import_tensorflow_hub() -> Any:
    """The `tensorflow_hub` module."""
    import_tensorflow()
    with warnings.catch_warnings():
        # 0.16.1 imports pkg_resources, which warns that it will go; requirements/ pins a setuptools that has it.
        warnings.simplefilter("ignore")
        import tensorflow_hub as hub
    return hub


def import_litert() -> Any:
    """The interpreter module of LiteRT, the same that the CPU engine uses."""
    import ai_edge_litert.interpreter as litert

    return litert

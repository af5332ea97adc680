"""Imports TensorFlow on first use, because the import takes seconds and is rarely needed."""

import sys
import warnings
from typing import Any

from worker.native_messages import native_messages_held_back
from worker.prepare.progress import step


def import_tensorflow() -> Any:
    """Return the `tensorflow` module, set to log only errors and to use no GPU."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with step("importing TensorFlow"), native_messages_held_back():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        # Preparation needs no GPU; TensorFlow would reserve all memory of one that a worker is using.
        tf.config.set_visible_devices([], "GPU")
        tf.constant(0)  # starts the runtime, which logs messages
    return tf


def import_tensorflow_hub() -> Any:
    """Return the `tensorflow_hub` module."""
    import_tensorflow()
    with warnings.catch_warnings():
        # 0.16.1 imports pkg_resources, which warns of its removal; requirements/ pins a setuptools that has it.
        warnings.simplefilter("ignore")
        import tensorflow_hub as hub
    return hub


def import_litert() -> Any:
    """Return LiteRT's interpreter module, which the engine `litert` uses too."""
    import ai_edge_litert.interpreter as litert

    return litert

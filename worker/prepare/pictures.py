"""Photographs to calibrate a quantised model with, and others to check it with."""

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import TopThreeError
from shared.images.formats import SUFFIXES
from worker.decoding.decode import decode
from worker.inference.model_folder import file_sha256
from worker.prepare.errors import PrepareError
from worker.prepare.progress import say

# 20 photographs of ImageNet's classes in 1.7 MB. Only its data are used.
_PACKAGE = "foolbox"
_PACKAGE_PICTURES = "foolbox/data/imagenet_*.jpg"

_LEAST = 20
_MOST = 1000
# More of them hardly change the ranges of values that are found.
_MOST_FOR_CALIBRATION = 100


@dataclass(frozen=True)
class Pictures:
    """Files of photographs; no file is in both groups."""

    calibration: list[Path]
    others: list[Path]

    @property
    def digest(self) -> str:
        """A sha256 over the files for calibration; PrepareError if one cannot be read."""
        try:
            return hashlib.sha256("".join(map(file_sha256, self.calibration)).encode()).hexdigest()
        except OSError as error:
            raise PrepareError(f"{error.filename} cannot be read: {error.strerror}") from error


def find_pictures(folder: Path | None) -> Pictures:
    """Choose pictures of `folder` and its subfolders, spread evenly over their sorted paths.

    Without a folder these are the photographs of a Python package.

    Raises PrepareError: there are too few, or neither a folder nor the package.
    """
    found = _in_folder(folder) if folder else _in_package()
    chosen = found[:: -(-len(found) // _MOST)]
    every = max(2, -(-len(chosen) // _MOST_FOR_CALIBRATION))
    return Pictures(chosen[::every], [path for i, path in enumerate(chosen) if i % every])


def read_pictures(paths: list[Path], height: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Decode pictures as the workers do, [1, height, width, 3] each; report those that cannot be decoded, and go on."""
    for path in paths:
        try:
            yield decode(path.read_bytes(), height, width)[np.newaxis]
        except (TopThreeError, OSError) as error:
            say(f"left out {path}: {error}")


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PrepareError(f"CALIBRATION_IMAGES={folder} is not a folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) < _LEAST:
        raise PrepareError(
            f"CALIBRATION_IMAGES={folder} holds {len(found)} pictures; at least {_LEAST} are needed, "
            "better some hundreds"
        )
    return found


def _in_package() -> list[Path]:
    try:
        root = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file("")))
    except importlib.metadata.PackageNotFoundError as error:
        raise PrepareError(
            f"PRECISION=int8 needs photographs: set CALIBRATION_IMAGES to a folder of them, or install the Python "
            f"package {_PACKAGE} (requirements/int8.in)"
        ) from error
    found = sorted(root.glob(_PACKAGE_PICTURES))
    if len(found) < _LEAST:
        raise PrepareError(f"the Python package {_PACKAGE} is damaged: install it again, or set CALIBRATION_IMAGES")
    return found

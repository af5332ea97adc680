"""A SavedModel that lies in a folder of this machine."""

import hashlib
import shutil
from pathlib import Path

from worker.inference.model_folder import LABELS, file_sha256
from worker.prepare.errors import PrepareError
from worker.prepare.slug import slug

# What a SavedModel consists of; anything else beside it is the owner's.
_SAVED_MODEL_FILE = "saved_model.pb"
_SAVED_MODEL_FOLDERS = ("variables", "assets", "assets.extra")


class LocalFolder:
    """The source of a model that the user brings along."""

    def __init__(self, folder: Path) -> None:
        """Read the folder's files for their digest; PrepareError if that fails."""
        self._folder = folder
        own_labels = folder / LABELS
        self.labels_path = own_labels if own_labels.is_file() else None
        try:
            digest = _digest(folder, [*saved_model_files(folder), *([LABELS] if self.labels_path else [])])
        except OSError as error:
            raise PrepareError(f"the SavedModel in {folder} cannot be read: {error}") from error
        basename = slug(folder.resolve().name)
        # A changed folder gets another name, and so do two folders of the same name.
        self.name = f"{basename}-{digest[:8]}"
        self.origin = f"SavedModel folder {basename}, sha256 {digest}"

    def put_saved_model(self, folder: Path) -> None:
        """Copy the SavedModel to `folder`."""
        copy_saved_model(self._folder, folder)

    def forget(self) -> None:
        """Nothing is kept."""


def is_saved_model(folder: Path) -> bool:
    """Whether TensorFlow would find a SavedModel there."""
    return (folder / _SAVED_MODEL_FILE).is_file()


def saved_model_files(folder: Path) -> list[str]:
    """The relative paths of a SavedModel's files, sorted."""
    found = [path for part in _SAVED_MODEL_FOLDERS for path in (folder / part).rglob("*") if path.is_file()]
    return [_SAVED_MODEL_FILE, *sorted(path.relative_to(folder).as_posix() for path in found)]


def copy_saved_model(source: Path, target: Path) -> None:
    """Copy a SavedModel's files, with the permissions of new files, as the source may be read-only."""
    for name in saved_model_files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _digest(folder: Path, names: list[str]) -> str:
    lines = [f"{file_sha256(folder / name)} {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

"""A SavedModel in a local folder."""

import hashlib
import shutil
from pathlib import Path

from worker.inference.model_folder import LABELS, file_sha256
from worker.prepare.errors import PrepareError
from worker.prepare.slug import slug

# The parts of a SavedModel; other files in the folder are ignored.
_SAVED_MODEL_FILE = "saved_model.pb"
_SAVED_MODEL_FOLDERS = ("variables", "assets", "assets.extra")


class LocalFolder:
    """Source for a model of the user's own."""

    def __init__(self, folder: Path) -> None:
        """Compute the digest of the folder's files; PrepareError if they cannot be read."""
        self._folder = folder
        own_labels = folder / LABELS
        self.labels_path = own_labels if own_labels.is_file() else None
        try:
            digest = _digest(folder, [*saved_model_files(folder), *([LABELS] if self.labels_path else [])])
        except OSError as error:
            raise PrepareError(f"the SavedModel in {folder} cannot be read: {error}") from error
        basename = slug(folder.resolve().name)
        # The digest keeps changed folders, and different folders with the same name, apart.
        self.name = f"{basename}-{digest[:8]}"
        self.origin = f"SavedModel folder {basename}, sha256 {digest}"

    def put_saved_model(self, folder: Path) -> None:
        """Copy the SavedModel to `folder`."""
        copy_saved_model(self._folder, folder)

    def forget(self) -> None:
        """Do nothing: this source keeps no copy."""


def is_saved_model(folder: Path) -> bool:
    """Whether the folder contains a SavedModel."""
    return (folder / _SAVED_MODEL_FILE).is_file()


def saved_model_files(folder: Path) -> list[str]:
    """Return the relative paths of a SavedModel's files, sorted."""
    found = [path for part in _SAVED_MODEL_FOLDERS for path in (folder / part).rglob("*") if path.is_file()]
    return [_SAVED_MODEL_FILE, *sorted(path.relative_to(folder).as_posix() for path in found)]


def copy_saved_model(source: Path, target: Path) -> None:
    """Copy a SavedModel's files, but not their permissions: the source may be read-only."""
    for name in saved_model_files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _digest(folder: Path, names: list[str]) -> str:
    lines = [f"{file_sha256(folder / name)} {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

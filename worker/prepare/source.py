"""Sources of models: interprets the value of MODEL."""

from pathlib import Path
from typing import Protocol

from worker.prepare.efficientnet_lite0 import EfficientNetLite0
from worker.prepare.errors import PrepareError
from worker.prepare.hub import HubModel
from worker.prepare.local_folder import LocalFolder, is_saved_model

DEFAULT_MODEL = "mobilenet_v2"
_DEFAULT_HANDLE = "https://tfhub.dev/google/tf2-preview/mobilenet_v2/classification/4"


class Source(Protocol):
    """A source of a model."""

    @property
    def name(self) -> str:
        """Name of the model and of its folder."""

    @property
    def origin(self) -> str:
        """Unique description of the source, for the manifest; contains no local path."""

    @property
    def labels_path(self) -> Path | None:
        """The file with the names of the classes, if the model comes with one."""

    def put_saved_model(self, folder: Path) -> None:
        """Write the SavedModel to `folder`, which does not exist yet; PrepareError on failure."""

    def forget(self) -> None:
        """Delete the cached download of an unusable model, so that the next attempt downloads it again."""


def find_source(model: str, models_dir: Path) -> Source:
    """Return the source for a value of MODEL; PrepareError, which lists the allowed values, if there is none."""
    if model == DEFAULT_MODEL:
        return HubModel(_DEFAULT_HANDLE, models_dir, name=DEFAULT_MODEL)
    if model == EfficientNetLite0.name:
        return EfficientNetLite0()
    if model.startswith(("http://", "https://")):
        return HubModel(model, models_dir)
    folder = Path(model).expanduser()
    if is_saved_model(folder):
        return LocalFolder(folder)
    raise PrepareError(
        f"MODEL={model} is none of: {DEFAULT_MODEL}, {EfficientNetLite0.name}, the http(s) address of a TF-Hub model, "
        "a SavedModel folder (one that holds saved_model.pb)"
    )

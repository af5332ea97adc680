"""What MODEL means: where a model comes from."""

from pathlib import Path
from typing import Protocol

from worker.prepare.efficientnet_lite0 import EfficientNetLite0
from worker.prepare.errors import PrepareError
from worker.prepare.hub import HubModel
from worker.prepare.local_folder import LocalFolder, is_saved_model

DEFAULT_MODEL = "mobilenet_v2"
_DEFAULT_HANDLE = "https://tfhub.dev/google/tf2-preview/mobilenet_v2/classification/4"


class Source(Protocol):
    """Where a model comes from."""

    @property
    def name(self) -> str:
        """The model's name, which is also its folder's."""

    @property
    def origin(self) -> str:
        """What tells this source from others, for the manifest; holds no path of this machine."""

    @property
    def labels_path(self) -> Path | None:
        """The file with the names of the classes that comes with the model, if one does."""

    def put_saved_model(self, folder: Path) -> None:
        """Write the SavedModel to `folder`, which does not exist yet; PrepareError if that cannot be done."""

    def forget(self) -> None:
        """Drop what is kept of a model that turned out to be of no use, so that the next try fetches it anew."""


def find_source(model: str, models_dir: Path) -> Source:
    """The source that the value of MODEL names; PrepareError, which lists the choices, if it names none."""
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

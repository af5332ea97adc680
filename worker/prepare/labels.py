"""The names of a model's classes: given by the user, supplied with the model, or ImageNet's."""

from pathlib import Path

from worker.inference.model_folder import display_name
from worker.prepare.errors import PrepareError

# 1000 names in the order of the ILSVRC 2012 classes, synonyms separated by commas.
_IMAGENET = Path(__file__).parent / "imagenet_labels.txt"
_IMAGENET_CLASSES = 1000


def choose_labels(given: Path | None, beside_model: Path | None, class_count: int) -> list[str]:
    """Return one line per class: from `given`, else from `beside_model`, else ImageNet's names.

    Raises PrepareError: the file cannot be read, its number of names is not the number of classes, or there is no file
    and the number of classes is not ImageNet's.
    """
    file = given or beside_model
    if file is None:
        return _imagenet_labels(class_count)
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PrepareError(f"the labels file {file} cannot be read: {error}") from error
    if len(lines) != class_count:
        raise PrepareError(f"the labels file {file} has {len(lines)} names, but the model has {class_count} classes")
    for number, line in enumerate(lines, 1):
        if not display_name(line):
            raise PrepareError(f"line {number} of the labels file {file} has no name")
    return [line.strip() for line in lines]


def _imagenet_labels(class_count: int) -> list[str]:
    names = _IMAGENET.read_text(encoding="utf-8").splitlines()
    if class_count == _IMAGENET_CLASSES:
        return names
    if class_count == _IMAGENET_CLASSES + 1:  # TF-Hub's ImageNet models have a background class, number 0
        return ["background", *names]
    raise PrepareError(
        f"the model has {class_count} classes, so they are not ImageNet's 1000 or 1001: "
        "set MODEL_LABELS to a file with their names, one per line"
    )

"""Prepares the folder of the model that MODEL names."""

import hashlib
from pathlib import Path

from worker.inference.model_folder import LABELS, SAVED_MODEL, TFLITE, ModelFolder
from worker.prepare.convert import Classifier, load_classifier, to_litert
from worker.prepare.efficientnet_lite0 import EfficientNetLite0
from worker.prepare.errors import HubUnreachable, NotConvertible, PrepareError
from worker.prepare.folder import flaw_of, make_folder, write_manifest
from worker.prepare.labels import choose_labels
from worker.prepare.progress import notice, say
from worker.prepare.source import Source, find_source


def prepare(
    model: str, labels_path: Path | None, models_dir: Path, fallback: bool = False, folder: Path | None = None
) -> Path:
    """Create `models_dir/<name>/`, or exactly `folder`, and return its path; an intact folder is returned unchanged.

    `model` is a value of MODEL (see source.py), `labels_path` a file with one name per line. With `fallback`, if the
    hub is unreachable, EfficientNet-Lite0 with its own labels replaces the model; a notice is printed the first time.

    Raises PrepareError (HubUnreachable is a subclass), and OSError if the folder cannot be written.
    """
    source = find_source(model, models_dir)
    try:
        return _prepare_source(source, labels_path, folder or models_dir / source.name)
    except HubUnreachable as unreachable:
        if not fallback:
            raise
        other = EfficientNetLite0()
        folder = folder or models_dir / other.name
        if _flaw(folder, other, None):
            _tell_of_fallback(model, other.name, unreachable)
        else:
            # The notice was printed when the folder was made.
            say(f"{unreachable}; MODEL={other.name} is used instead of MODEL={model}, as before")
        return _prepare_source(other, None, folder)


def _prepare_source(source: Source, labels_path: Path | None, folder: Path) -> Path:
    folder = folder.absolute()
    make_folder(
        folder,
        source.name,
        lambda: _flaw(folder, source, labels_path),
        lambda making: _make(making, source, labels_path),
    )
    return folder


def _make(making: Path, source: Source, labels_path: Path | None) -> None:
    source.put_saved_model(making / SAVED_MODEL)
    try:
        classifier = load_classifier(making / SAVED_MODEL)
    except PrepareError:
        source.forget()
        raise
    labels = choose_labels(labels_path, source.labels_path, classifier.class_count)
    (making / LABELS).write_bytes(_labels_content(labels))
    _convert(classifier, source.name, making / TFLITE)
    size = (classifier.function.height, classifier.function.width)
    write_manifest(making, source.name, source.origin, size, classifier.class_count)


def _flaw(folder: Path, source: Source, labels_path: Path | None) -> str | None:
    """Return why the folder must be prepared again, or None; does not import TensorFlow."""
    if flaw := flaw_of(folder, source.origin):
        return flaw
    manifest = ModelFolder.open(folder).manifest
    labels = choose_labels(labels_path, source.labels_path, manifest.class_count)
    if manifest.files[LABELS] != hashlib.sha256(_labels_content(labels)).hexdigest():
        return "it has other labels"
    return None


def _labels_content(labels: list[str]) -> bytes:
    return "".join(f"{label}\n" for label in labels).encode()


def _convert(classifier: Classifier, name: str, file: Path) -> None:
    try:
        file.write_bytes(to_litert(classifier))
    except NotConvertible as error:
        title = f"THE MODEL {name} CANNOT BE CONVERTED TO LITERT"
        notice(title, [str(error)[:200], "It can be used with ENGINE=tensorflow only."])


def _tell_of_fallback(wanted: str, used: str, why: HubUnreachable) -> None:
    notice(
        f"USING ANOTHER MODEL THAN REQUESTED: {used}",
        [
            f"Request:  MODEL={wanted}",
            f"Reason:   {why}",
            f"Instead:  MODEL={used}, whose results differ; the record of each job names its model.",
            "Retry:    run the same command again when the network is available.",
        ],
    )

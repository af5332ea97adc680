"""Makes the int8 form of a prepared model: a model folder with a name and a digest of its own."""

import hashlib
import shutil
from pathlib import Path

from worker.inference.model_folder import LABELS, SAVED_MODEL, TFLITE, ModelFolder
from worker.native_messages import native_messages_held_back
from worker.prepare.convert import load_classifier
from worker.prepare.errors import NotConvertible, PrepareError
from worker.prepare.folder import REPORT, flaw_of, make_folder, write_manifest
from worker.prepare.pictures import Pictures, read_pictures
from worker.prepare.progress import say, step
from worker.prepare.quantize import to_int8_litert
from worker.prepare.report import Report, compare


def int8_name(name: str) -> str:
    """Return the name of the int8 form of the model `name`."""
    return f"{name}-int8"


def prepare_int8(float32: ModelFolder, folder: Path, pictures: Pictures, min_agreement_percent: float) -> Path:
    """Create `folder` from a prepared model with `pictures.calibration`, and check it with `pictures.others`.

    An intact folder that was made from the same model and pictures is returned unchanged. A new one contains the result
    of the check, `report.json`.

    Raises PrepareError: the model cannot be converted, or too few of its labels agree with those of float32. OSError:
    the folder cannot be written.
    """
    folder = folder.absolute()
    origin = _origin(float32, pictures)
    make_folder(
        folder,
        int8_name(float32.name),
        lambda: flaw_of(folder, origin),
        lambda making: _make(making, float32, pictures, min_agreement_percent, origin),
    )
    return folder


def _make(making: Path, float32: ModelFolder, pictures: Pictures, min_agreement_percent: float, origin: str) -> None:
    if not float32.has(TFLITE):
        raise PrepareError(f"the model {float32.name} cannot be converted to LiteRT, which int8 needs")
    manifest = float32.manifest
    calibration = list(read_pictures(pictures.calibration, manifest.input_height, manifest.input_width))
    if not calibration:
        raise PrepareError("none of the pictures for calibration can be decoded: see the lines above")
    try:
        content = to_int8_litert(load_classifier(float32.path / SAVED_MODEL), calibration)
    except NotConvertible as error:
        raise PrepareError(f"the model {float32.name} cannot be quantised to int8: {error}") from error
    (making / TFLITE).write_bytes(content)
    shutil.copyfile(float32.path / LABELS, making / LABELS)
    name, size = int8_name(float32.name), (manifest.input_height, manifest.input_width)
    write_manifest(making, name, origin, size, manifest.class_count)
    report = _compare(float32, making, pictures)
    for line in report.lines():
        say(line)
    report.check(min_agreement_percent)
    # After the manifest, which lists what results depend on: the times in the report differ with every preparation.
    (making / REPORT).write_text(report.to_json(), encoding="utf-8")


def _compare(float32: ModelFolder, making: Path, pictures: Pictures) -> Report:
    # Imported here, because an intact folder needs no inference library.
    from worker.inference.engines.litert import LiteRTEngine

    height, width = float32.manifest.input_height, float32.manifest.input_width
    with step(f"comparing int8 with float32 on {len(pictures.others)} other photographs"):
        with native_messages_held_back():
            engines = LiteRTEngine(float32.path / TFLITE), LiteRTEngine(making / TFLITE)
        return compare(*engines, read_pictures(pictures.others, height, width))


def _origin(float32: ModelFolder, pictures: Pictures) -> str:
    """Describe all that determines the int8 model: the float32 model with its labels, and the pictures."""
    digest = hashlib.sha256(f"{float32.digest} {pictures.digest}".encode()).hexdigest()
    return f"{float32.manifest.source}; int8 from {len(pictures.calibration)} photographs, sha256 {digest}"

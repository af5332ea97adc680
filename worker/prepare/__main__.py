"""`python -m worker.prepare`: prepares a model; prints only the path of its folder to stdout."""

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.inference.model_folder import ModelFolder
from worker.prepare.errors import PrepareError
from worker.prepare.precision import FLOAT32, check_precision
from worker.prepare.preparation import prepare
from worker.prepare.progress import say
from worker.prepare.source import DEFAULT_MODEL


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Prepare the model given by the arguments or the environment; return the exit code."""
    options = _parser(environ).parse_args(arguments)
    try:
        # tensorflow_hub prints its progress to stdout.
        with contextlib.redirect_stdout(sys.stderr):
            folder = _prepare(options)
    except (PrepareError, OSError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    # Write the bytes of the path: the terminal's encoding may not support it.
    sys.stdout.buffer.write(os.fsencode(folder) + b"\n")
    return 0


def _prepare(options: argparse.Namespace) -> Path:
    check_precision(options.precision)
    if options.precision == FLOAT32:
        return prepare(options.model, options.labels, options.models_dir, options.fallback, options.folder)
    # Imported here, because float32 needs no decoder.
    from worker.prepare.int8 import int8_name, prepare_int8
    from worker.prepare.pictures import find_pictures

    pictures = find_pictures(options.calibration_images)
    least_percent = _percent(options.min_agreement)
    float32 = ModelFolder.open(prepare(options.model, options.labels, options.models_dir, options.fallback))
    folder = options.folder or options.models_dir / int8_name(float32.name)
    return prepare_int8(float32, folder, pictures, least_percent)


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 100:
        raise PrepareError(f"MIN_AGREEMENT={text} is not a number of percent from 0 to 100")
    return value


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.prepare", description="Make a model folder ready for use.")
    parser.add_argument(
        "--model",
        default=environ.get("MODEL") or DEFAULT_MODEL,
        help="mobilenet_v2, efficientnet_lite0, a TF-Hub address or a SavedModel folder (default: MODEL, %(default)s)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        default=environ.get("MODEL_LABELS") or None,
        help="class names, one per line (default: MODEL_LABELS, else labels.txt of the model, else ImageNet's)",
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path("models"),
        help="parent of the model folder (default: %(default)s)",
    )
    parser.add_argument("--folder", type=Path, help="make exactly this folder instead of one in --models-dir")
    parser.add_argument(
        "--precision",
        default=environ.get("PRECISION") or FLOAT32,
        help="float32 or int8 (default: PRECISION, %(default)s)",
    )
    parser.add_argument(
        "--calibration-images",
        type=Path,
        default=environ.get("CALIBRATION_IMAGES") or None,
        help="int8: folder of photographs (default: CALIBRATION_IMAGES, else 20 of the Python package foolbox)",
    )
    parser.add_argument(
        "--min-agreement",
        default=environ.get("MIN_AGREEMENT") or "95",
        help="int8: least percentage of labels equal to those of float32 (default: MIN_AGREEMENT, %(default)s)",
    )
    parser.add_argument(
        "--fallback", action="store_true", help="use efficientnet_lite0, with a notice, when the hub cannot be reached"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

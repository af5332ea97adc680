"""`python -m worker.prepare`: prepares a model; prints only the path of its folder to stdout."""

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.prepare.errors import PrepareError
from worker.prepare.preparation import prepare
from worker.prepare.progress import say
from worker.prepare.source import DEFAULT_MODEL


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Prepare the model given by the arguments or the environment; return the exit code."""
    options = _parser(environ).parse_args(arguments)
    try:
        # tensorflow_hub prints its progress to stdout.
        with contextlib.redirect_stdout(sys.stderr):
            folder = prepare(options.model, options.labels, options.models_dir, options.fallback, options.folder)
    except (PrepareError, OSError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    # The bytes of the path, whatever the encoding of the terminal.
    sys.stdout.buffer.write(os.fsencode(folder) + b"\n")
    return 0


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    labels = environ.get("MODEL_LABELS")
    parser = argparse.ArgumentParser(prog="python -m worker.prepare", description="Make a model folder ready for use.")
    parser.add_argument(
        "--model",
        default=environ.get("MODEL") or DEFAULT_MODEL,
        help="mobilenet_v2, efficientnet_lite0, a TF-Hub address or a SavedModel folder (default: MODEL, %(default)s)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path(labels) if labels else None,
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
        "--fallback", action="store_true", help="use efficientnet_lite0, with a notice, when the hub cannot be reached"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

"""The commands and options of the command line."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from topthree_client.environment import DEFAULT_URL
from topthree_client.limits import DEFAULT_JOBS, MOST_JOBS, MOST_LABELS
from topthree_client.messages import NORMAL, QUIET, VERBOSE
from topthree_client.version import package_version

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("table", "json", "jsonl", "csv")
SHELLS = ("bash", "zsh", "fish")
STANDARD_INPUT = "-"
# A user who waits longer does not want a limit.
MOST_TIMEOUT_SECONDS = 7 * 86400

EPILOG = """\
environment:
  TOPTHREE_URL       service URL, unless --url is given
  TOPTHREE_API_KEY   API key, unless --api-key-file is given
  NO_COLOR           if set, nothing is printed in color
"""
EXAMPLES = """\
examples:
  topthree classify cat.jpg
  topthree classify --top 1 holiday/ cat.jpg
  topthree classify holiday/ --out labels.csv      (run again to send only the missing pictures)
  curl -s https://pictures.example/cat.jpg | topthree classify -
  find . -name '*.jpg' -print0 | topthree classify --null --files-from - --out labels.csv
  topthree classify --format jsonl -- -odd-name.png
  topthree batch list
  topthree --url http://192.0.2.7:5000 status
"""
CLASSIFY_EXIT_CODES = """\
exit codes of classify:
  0    all pictures are answered
  1    some pictures have no labels, or some paths could not be read
  2    invalid arguments, no picture at all, or the output cannot be written
  3    the service is unavailable or refuses the API key; run the same command to resume
  130  Ctrl-C; run the same command to resume
"""
STATUS_EXIT_CODES = """\
exit codes of status:
  0    at least one worker is ready
  1    no worker is ready; pictures are accepted and wait
  3    the service is unavailable or refuses the API key (with --watch: when the command starts)
  130  Ctrl-C
"""
GET_EXIT_CODES = """\
exit codes of get:
  0    the job has labels
  1    the job failed, was canceled, is gone or has not ended yet
  2    invalid arguments
  3    the service is unavailable or refuses the API key
"""
CANCEL_EXIT_CODES = """\
exit codes of cancel:
  0    every job is canceled
  1    some jobs have ended otherwise or are gone
  2    invalid arguments
  3    the service is unavailable or refuses the API key
"""
BATCH_EXIT_CODES = """\
exit codes of batch:
  0    done; results: every picture has ended and has labels
  1    a batch is gone or, for cancel, had ended before; results: some
       pictures have no labels or have not ended
  2    invalid arguments, or the output cannot be written
  3    the service is unavailable or refuses the API key
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, with the name of the command as `command`; exit with a message if they are invalid."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command == "classify":
        _check_inputs(options, parser)
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="topthree",
        description="Classify pictures with a topthree service.",
        epilog=f"{EXAMPLES}\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"topthree {package_version()}")
    _add_common(parser)
    parser.set_defaults(url=None, api_key_file=None, timeout=None, verbosity=NORMAL)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_classify(commands)
    _add_get(commands)
    _add_cancel(commands)
    _add_batch(commands)
    _add_status(commands)
    completion = _add_command(commands, "completion", "print a script that completes commands and options in a shell")
    completion.add_argument("shell", choices=SHELLS, help="your shell")
    return parser


def _add_classify(commands: "Commands") -> None:
    epilog = f"{EXAMPLES}\n{CLASSIFY_EXIT_CODES}"
    classify = _add_command(commands, "classify", "classify pictures and print or save their labels", epilog)
    classify.add_argument(
        "paths",
        nargs="*",
        metavar="FILE_OR_FOLDER",
        help="pictures, and folders of pictures; - is a picture on standard input",
    )
    classify.add_argument("--files-from", metavar="LIST", help="a file with one more path a line; - is standard input")
    classify.add_argument(
        "-0", "--null", action="store_true", help="the paths of --files-from end with a NUL instead of a line break"
    )
    classify.add_argument(
        "--top", type=_up_to(MOST_LABELS), default=3, metavar="N", help="labels per picture, 1 to 10 (default: 3)"
    )
    classify.add_argument(
        "--min-confidence",
        type=_share,
        default=0.0,
        metavar="C",
        help="only labels with at least this confidence, 0 to 1 (default: 0)",
    )
    _add_output(classify, "output file for json, jsonl or csv; pictures already answered in it are not sent again")
    classify.add_argument(
        "--jobs",
        type=_up_to(MOST_JOBS),
        default=DEFAULT_JOBS,
        metavar="N",
        help=f"maximum number of pictures in progress at a time, 1 to {MOST_JOBS} (default: {DEFAULT_JOBS}); "
        "reduced automatically while uploads are slow; in a batch: of requests, at most 4",
    )


def _add_get(commands: "Commands") -> None:
    get = _add_command(commands, "get", "show a job and its labels", GET_EXIT_CODES)
    get.add_argument("job_id", metavar="ID", help="the id of the job")
    get.add_argument("--wait", action="store_true", help="wait until the job has ended, at most for --timeout")
    get.add_argument("--format", choices=("table", "json"), default="table", help="output format (default: table)")


def _add_cancel(commands: "Commands") -> None:
    cancel = _add_command(commands, "cancel", "cancel jobs that have not ended", CANCEL_EXIT_CODES)
    cancel.add_argument("job_ids", nargs="+", metavar="ID", help="the id of a job")


def _add_status(commands: "Commands") -> None:
    status = _add_command(commands, "status", "show workers, model, queue and failed jobs", STATUS_EXIT_CODES)
    status.add_argument("--watch", action="store_true", help="show it every two seconds until Ctrl-C")
    status.add_argument("--json", action="store_true", help="print the answer of /status.json, a line each time")


def _add_batch(commands: "Commands") -> None:
    batch = _add_command(commands, "batch", "list, show, read or cancel batches of pictures", BATCH_EXIT_CODES)
    batch_commands = batch.add_subparsers(required=True, metavar="COMMAND", dest="batch_command")
    _add_command(batch_commands, "list", "list the batches begun on this computer", BATCH_EXIT_CODES)
    show = _add_command(batch_commands, "show", "show how far a batch is", BATCH_EXIT_CODES)
    results = _add_command(batch_commands, "results", "print or save the results of a batch", BATCH_EXIT_CODES)
    for command in (show, results):
        command.add_argument("batch_id", metavar="ID", help="the id of the batch")
    _add_output(results, "output file for json, jsonl or csv; it is replaced if it exists")
    cancel = _add_command(
        batch_commands, "cancel", "cancel batches that have not ended, and delete their results", BATCH_EXIT_CODES
    )
    cancel.add_argument("batch_ids", nargs="+", metavar="ID", help="the id of a batch")


def _add_output(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument(
        "--format", choices=FORMATS, help="output format (default: the extension of --out, else table)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help=out)


def _add_command(commands: "Commands", name: str, what: str, epilog: str = "") -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser(
        name, help=what, description=what, epilog=f"{epilog}\n{EPILOG}", formatter_class=formatter
    )
    _add_common(command)
    return command


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that may stand before and after the command.

    They have no default here: that of the command would replace the value given before the command.
    """
    common = parser.add_argument_group("options of every command", argument_default=argparse.SUPPRESS)
    common.add_argument("--url", help=f"service URL (default: $TOPTHREE_URL or {DEFAULT_URL})")
    common.add_argument("--api-key-file", type=Path, metavar="FILE", help="file that contains the API key")
    common.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="longest time to wait for a picture's labels, and for an unavailable service "
        "(default: no limit, and 300 for the service)",
    )
    common.add_argument(
        "-q",
        "--quiet",
        action="store_const",
        dest="verbosity",
        const=QUIET,
        help="print only labels and errors",
    )
    common.add_argument(
        "-v", "--verbose", action="store_const", dest="verbosity", const=VERBOSE, help="print every request and retry"
    )


def _check_inputs(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if not options.paths and options.files_from is None:
        parser.error("classify needs a file, a folder, - or --files-from")
    if options.null and options.files_from is None:
        parser.error("-0/--null needs --files-from")
    if options.files_from == STANDARD_INPUT and STANDARD_INPUT in options.paths:
        parser.error("standard input cannot be both a picture and the list of --files-from")


def _up_to(most: int) -> Callable[[str], int]:
    """Return a function that reads a number from 1 to `most`."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")

    return read


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) <= MOST_TIMEOUT_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, up to {MOST_TIMEOUT_SECONDS}")

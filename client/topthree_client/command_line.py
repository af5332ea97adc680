"""The command `topthree`: classifies files and folders, and shows the status of the service."""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from topthree_client.batch import DEFAULT_JOBS, Answer, Wanted, classify_all
from topthree_client.client import DEFAULT_URL, Client
from topthree_client.errors import KeyRefused, ServiceUnavailable
from topthree_client.formats import BadOutput, printable
from topthree_client.output import Output, ResumeFile, open_output
from topthree_client.picture_files import find_pictures, kinds_of
from topthree_client.status_report import print_status
from topthree_client.waits import waits_told

DONE, SOME_FAILED, USAGE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130
FORMATS = ("table", "json", "jsonl", "csv")
MOST_LABELS = 10
# Each needs a thread and a connection.
MOST_JOBS = 64

EPILOG = """\
environment:
  TOPTHREE_URL       service URL, unless --url is given
  TOPTHREE_API_KEY   API key, unless --api-key-file is given
"""
EXAMPLES = """\
examples:
  topthree classify cat.jpg
  topthree classify --top 1 holiday/ cat.jpg
  topthree classify holiday/ --out labels.csv      (run again to send only the missing pictures)
  topthree classify --format jsonl -- -odd-name.png
  topthree status --url http://192.0.2.7:5000
"""
KEY_HINT = "Put a key into $TOPTHREE_API_KEY, or into a file for --api-key-file."
EXIT_CODES = """\
exit codes of classify:
  0    all pictures have labels
  1    some pictures have no labels (refused, failed or unreadable)
  2    invalid arguments, or the output cannot be written
  3    the service is unavailable or refuses the API key; run the same command to resume
  130  Ctrl-C; run the same command to resume
"""
STATUS_EXIT_CODES = """\
exit codes of status:
  0    at least one worker is ready
  1    no worker is ready; pictures are accepted and wait
  3    the service is unavailable or refuses the API key
"""


class _UsageError(Exception):
    """The arguments are invalid, or the output cannot be written; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except _UsageError as error:
        _say(str(error))
        return USAGE
    except ServiceUnavailable as error:
        _say(f"{error} {KEY_HINT}" if isinstance(error, KeyRefused) else str(error))
        return UNAVAILABLE
    except OSError as error:
        # At exit Python flushes stdout once more, and would report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # The reader (such as `head`) has closed the pipe.
            return SOME_FAILED
        _say(f"cannot write: {error.strerror}")
        return USAGE
    except KeyboardInterrupt:
        _say("Stopped. Run the same command to resume." if getattr(options, "out", None) else "stopped")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="topthree",
        description="Classify pictures with a topthree service.",
        epilog=f"{EXAMPLES}\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    classify = _command(commands, "classify", "classify pictures and print or save their labels", _classify)
    classify.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER", help="pictures, and folders of pictures")
    classify.add_argument(
        "--top",
        type=_up_to(MOST_LABELS),
        default=3,
        metavar="N",
        help="labels per picture, 1 to 10 (default: 3)",
    )
    classify.add_argument(
        "--min-confidence",
        type=_share,
        default=0.0,
        metavar="C",
        help="only labels with at least this confidence, 0 to 1 (default: 0)",
    )
    classify.add_argument(
        "--format", choices=FORMATS, help="output format (default: the extension of --out, else table)"
    )
    classify.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file for json, jsonl or csv; pictures already answered in it are not sent again",
    )
    classify.add_argument(
        "--jobs",
        type=_up_to(MOST_JOBS),
        default=DEFAULT_JOBS,
        metavar="N",
        help=f"maximum number of pictures in progress at a time, 1 to {MOST_JOBS} (default: {DEFAULT_JOBS}); "
        "reduced automatically while uploads are slow",
    )
    _command(commands, "status", "show workers, model, queue and failed jobs", _status)
    return parser


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


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    epilog = f"{EXAMPLES}\n{EXIT_CODES}\n{EPILOG}" if name == "classify" else f"{STATUS_EXIT_CODES}\n{EPILOG}"
    formatter = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser(name, help=what, description=what, epilog=epilog, formatter_class=formatter)
    command.add_argument("--url", help=f"service URL (default: $TOPTHREE_URL or {DEFAULT_URL})")
    command.add_argument("--api-key-file", type=Path, metavar="FILE", help="file that contains the API key")
    command.set_defaults(run=run)
    return command


def _client(options: argparse.Namespace) -> Client:
    key = os.environ.get("TOPTHREE_API_KEY")
    try:
        if options.api_key_file:
            key = options.api_key_file.read_text("utf-8").strip()
        return Client(options.url or os.environ.get("TOPTHREE_URL") or DEFAULT_URL, api_key=key)
    except OSError as error:
        raise _UsageError(f"{options.api_key_file}: {error.strerror}") from None
    except ValueError as error:
        raise _UsageError(str(error)) from None


def _status(options: argparse.Namespace) -> int:
    with _client(options) as client:
        status = client.status()
    print_status(client.url, status)
    return DONE if status.workers else SOME_FAILED


def _classify(options: argparse.Namespace) -> int:
    form = options.format or _format_of(options.out)
    if form == "table" and options.out:
        raise _UsageError("--out needs a file name ending in .json, .jsonl or .csv, or --format json, jsonl or csv.")
    if missing := [path for path in options.paths if not os.path.exists(path)]:  # noqa: PTH110 - "" is no file
        raise _UsageError(f"{missing[0]}: there is no such file or folder. Nothing was sent.")
    unreadable: list[OSError] = []
    found = find_pictures(options.paths, unreadable.append)
    for error in unreadable:
        _say(f"{error.filename}: {error.strerror}")
    if found.skipped:
        _say(
            f"skipped files without the extension of a picture: {kinds_of(found.skipped)}; "
            "to send one, give its own path"
        )
    if not found.pictures:
        raise _UsageError("There are no pictures in these folders.")
    with _client(options) as client:
        # Fail before anything is written if the service is unavailable.
        client.status()
        return _classify_into(client, found.pictures, form, options) or (SOME_FAILED if unreadable else DONE)


def _classify_into(client: Client, files: Sequence[str], form: str, options: argparse.Namespace) -> int:
    try:
        output = open_output(form, options.out, options.top)
        resume = ResumeFile(options.out) if options.out else None
        salt = resume.salt() if resume else secrets.token_hex(16)
    except BadOutput as error:
        raise _UsageError(f"{options.out} cannot be continued: {error}. Nothing was sent.") from None
    except OSError as error:
        raise _UsageError(f"{options.out} cannot be written: {error.strerror}. Nothing was sent.") from None
    # A progress bar on a terminal, unless result lines are printed to the same terminal.
    bar = sys.stderr.isatty() and not (form in ("jsonl", "csv") and not options.out and sys.stdout.isatty())

    def classify(open_files: Sequence[str]) -> Iterator[Answer]:
        wanted = Wanted(options.top, options.min_confidence)
        return classify_all(client, open_files, wanted, salt, options.jobs)

    try:
        failed, unanswered = _send(classify, files, output, bar)
    finally:
        output.close()
    if resume and not unanswered:
        resume.remove()
    if failed + unanswered:
        _say(f"{failed + unanswered} of {len(files)} pictures have no labels")
    return SOME_FAILED if failed + unanswered else DONE


def _send(
    classify: Callable[[Sequence[str]], Iterator[Answer]], files: Sequence[str], output: Output, bar: bool
) -> tuple[int, int]:
    """Classify the pictures without an answer; return how many pictures failed and how many got no answer."""
    before = {os.path.abspath(answer.file): answer for answer in output.answered}  # noqa: PTH100 - as `find_pictures`
    known = [before.get(os.path.abspath(file)) for file in files]  # noqa: PTH100
    open_files = [file for file, answer in zip(files, known, strict=True) if answer is None]
    failed_before = [answer for answer in known if answer is not None and answer.result is None]
    for answer in failed_before:
        _say(f"{answer.file}: {answer.problem}")
    failed, unanswered = len(failed_before), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        Progress(*columns, console=console, redirect_stdout=False, disable=not bar) as progress,
        waits_told(lambda sentence: _say(sentence, progress.console)),
    ):
        task = progress.add_task("classifying", total=len(files), completed=len(files) - len(open_files))
        for answer in classify(open_files):
            if answer.final:
                output.add(answer)
            if answer.result is None:
                _say(f"{answer.file}: {answer.problem}", progress.console)
                failed += answer.final
                unanswered += not answer.final
            progress.advance(task)
    return failed, unanswered


def _format_of(out: Path | None) -> str:
    suffix = out.suffix[1:].lower() if out else ""
    return suffix if suffix in FORMATS else "table"


def _say(text: str, console: Console | None = None) -> None:
    """Print a message to standard error."""
    console = console or Console(stderr=True)
    console.print(f"topthree: {printable(text)}", markup=False, highlight=False, soft_wrap=True)

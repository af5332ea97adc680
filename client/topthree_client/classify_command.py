"""`topthree classify`: classifies files and folders, and resumes interrupted runs."""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from topthree_client.arguments import FORMATS
from topthree_client.client import Client
from topthree_client.errors import ServiceUnavailable
from topthree_client.exit_codes import DONE, INTERRUPTED, SOME_FAILED
from topthree_client.file_answers import Answer, Wanted
from topthree_client.formats import BadOutput
from topthree_client.inputs import Inputs, find_inputs, read_list
from topthree_client.messages import Messages
from topthree_client.output import Output, ResumeFile, open_output
from topthree_client.single_uploads import classify_all
from topthree_client.summary import Tally, summary
from topthree_client.usage_error import UsageError


def classify(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Classify the pictures that the options name, and return the exit code.

    Raises:
        UsageError: nothing can be sent, or the output cannot be written.
        ServiceUnavailable: the service is unavailable.
    """
    started = time.monotonic()
    form = options.format or _format_of(options.out)
    if form == "table" and options.out:
        raise UsageError("--out needs a file name ending in .json, .jsonl or .csv, or --format json, jsonl or csv.")
    listed = read_list(options.files_from, options.null) if options.files_from is not None else []
    inputs = find_inputs([*options.paths, *listed], messages)
    # Fail before anything is written if the service is unavailable.
    client.status()
    tally = Tally(len(inputs.files))
    try:
        _classify_into(client, inputs, form, options, messages, tally)
    except (ServiceUnavailable, KeyboardInterrupt) as error:
        resume = " Run the same command to resume." if options.out else ""
        messages.error(f"Stopped at {tally.done} of {tally.total}.{resume}")
        if isinstance(error, ServiceUnavailable):
            raise
        return INTERRUPTED
    messages.summary(summary(tally, inputs.unreadable, options.out, time.monotonic() - started))
    return SOME_FAILED if tally.failed + tally.unanswered + inputs.unreadable else DONE


def _classify_into(
    client: Client, inputs: Inputs, form: str, options: argparse.Namespace, messages: Messages, tally: Tally
) -> None:
    try:
        output = open_output(form, options.out, options.top)
        resume = ResumeFile(options.out) if options.out else None
        salt = resume.salt() if resume else secrets.token_hex(16)
    except BadOutput as error:
        raise UsageError(f"{options.out} cannot be continued: {error}. Nothing was sent.") from None
    except OSError as error:
        raise UsageError(f"{options.out} cannot be written: {error.strerror}. Nothing was sent.") from None
    # A progress bar on a terminal, unless result lines are printed to the same terminal.
    lines_are_shown = form in ("jsonl", "csv") and not options.out and sys.stdout.isatty()
    bar = sys.stderr.isatty() and not lines_are_shown and not messages.quiet
    wanted = Wanted(options.top, options.min_confidence)

    def classify(files: Sequence[str]) -> Iterator[Answer]:
        return classify_all(client, files, inputs.contents, wanted, salt, options.jobs)

    try:
        _send(classify, inputs, output, bar, messages, tally)
    finally:
        output.close()
    if resume and not tally.unanswered:
        resume.remove()


def _send(
    classify: Callable[[Sequence[str]], Iterator[Answer]],
    inputs: Inputs,
    output: Output,
    bar: bool,
    messages: Messages,
    tally: Tally,
) -> None:
    """Classify the pictures without an answer, and count all."""
    open_files = []
    before = {_absolute(answer.file): answer for answer in output.answered}
    for file in inputs.files:
        # Standard input may be another picture each time.
        answer = None if file in inputs.contents else before.get(_absolute(file))
        if answer is None:
            open_files.append(file)
            continue
        tally.add(answer)
        tally.earlier += 1
        _report(answer, messages)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages.console, redirect_stdout=False, disable=not bar) as progress:
        task = progress.add_task("classifying", total=tally.total, completed=tally.done)
        for answer in classify(open_files):
            if answer.final:
                output.add(answer)
            tally.add(answer)
            _report(answer, messages)
            progress.advance(task)


def _report(answer: Answer, messages: Messages) -> None:
    if answer.result is None:
        messages.error(f"{answer.file}: {answer.problem}")


def _absolute(file: str) -> str:
    return os.path.abspath(file)  # noqa: PTH100 - as `find_pictures`


def _format_of(out: Path | None) -> str:
    suffix = out.suffix[1:].lower() if out else ""
    return suffix if suffix in FORMATS else "table"

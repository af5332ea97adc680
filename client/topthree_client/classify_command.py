"""`topthree classify`: classifies files and folders, and resumes interrupted runs."""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence

from topthree_client.batch_run import BatchCanceled, BatchRun
from topthree_client.begun_batches import begun_batches
from topthree_client.client import Client
from topthree_client.errors import ServiceUnavailable
from topthree_client.exit_codes import DONE, INTERRUPTED, SOME_FAILED
from topthree_client.file_answers import Answer, Wanted
from topthree_client.formats import BadOutput
from topthree_client.inputs import Inputs, find_inputs, read_list
from topthree_client.messages import Messages
from topthree_client.output import Output, chosen_format, open_output
from topthree_client.progress_bar import ProgressBar
from topthree_client.resume_file import DamagedResume, ResumeFile
from topthree_client.single_uploads import SingleUploads
from topthree_client.summary import Tally, summary
from topthree_client.usage_error import STANDARD_OUTPUT, UsageError

# More pictures are sent in a batch. Fewer are answered sooner without one.
MOST_SINGLE = 20


def classify(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Classify the pictures that the options name, and return the exit code.

    Raises:
        UsageError: nothing can be sent, or the output cannot be written.
        ServiceUnavailable: the service is unavailable.
    """
    started = time.monotonic()
    form = chosen_format(options.format, options.out)
    listed = read_list(options.files_from, options.null) if options.files_from is not None else []
    inputs = find_inputs([*options.paths, *listed], messages)
    # Fail before anything is written if the service is unavailable.
    client.status()
    run = _Run(client, inputs, form, options, messages)
    try:
        run.run()
    except BatchCanceled as error:
        again = " Run the same command to send the other pictures again." if options.out else ""
        messages.error(f"Stopped at {run.tally.done} of {run.tally.total}. {error}{again}")
        return SOME_FAILED
    except (ServiceUnavailable, KeyboardInterrupt) as error:
        messages.error(f"Stopped at {run.tally.done} of {run.tally.total}.{run.how_to_go_on()}")
        if isinstance(error, ServiceUnavailable):
            raise
        return INTERRUPTED
    tally = run.tally
    messages.summary(summary(tally, inputs.unreadable, options.out, time.monotonic() - started))
    return SOME_FAILED if tally.failed + tally.unanswered + inputs.unreadable else DONE


class _Run:
    """One run of the command."""

    def __init__(
        self, client: Client, inputs: Inputs, form: str, options: argparse.Namespace, messages: Messages
    ) -> None:
        self._client = client
        self._inputs = inputs
        self._form = form
        self._options = options
        self._messages = messages
        self._wanted = Wanted(options.top, options.min_confidence)
        self._batch_run: BatchRun | None = None
        self.tally = Tally(len(inputs.files))

    def run(self) -> None:
        """Classify the pictures without an answer, write the answers, and count all."""
        output, resume = self._open()
        try:
            files = self._count_earlier(output)
            with self._bar() as bar:
                for answer in self._answers(files, resume, bar):
                    if answer.final:
                        output.add(answer)
                    self._count(answer)
                    bar.reach(self.tally.done)
        finally:
            output.close()
        if not self.tally.unanswered:
            resume.remove()

    def how_to_go_on(self) -> str:
        """Return the end of a message that says that the run has stopped."""
        again = "Run the same command to resume" if self._options.out else ""
        if not self._batch_run or not self._batch_run.ids:
            return f" {again}." if again else ""
        read = "; ".join(f"topthree batch results {batch_id}" for batch_id in self._batch_run.ids)
        if not self._batch_run.is_sent:
            return f" {again}." if again else f" Read the results of what is sent with: {read}"
        sent = " All pictures are sent, and the service goes on."
        return f"{sent} {f'{again}, or read' if again else 'Read'} the results with: {read}"

    def _open(self) -> tuple[Output, ResumeFile]:
        out = self._options.out
        try:
            output = open_output(self._form, out, self._options.top)
            try:
                return output, ResumeFile(out)
            except (OSError, DamagedResume):
                output.close()
                raise
        except (BadOutput, DamagedResume) as error:
            raise UsageError(f"{out} cannot be continued: {error}. Nothing was sent.") from None
        except OSError as error:
            raise UsageError(
                f"{out or STANDARD_OUTPUT} cannot be written: {error.strerror}. Nothing was sent."
            ) from None

    def _bar(self) -> ProgressBar:
        """Return a bar for a terminal, unless result lines are printed to the same terminal."""
        lines_are_shown = self._form in ("jsonl", "csv") and not self._options.out and sys.stdout.isatty()
        shown = sys.stderr.isatty() and not lines_are_shown and not self._messages.quiet
        return ProgressBar(self.tally.total, self._messages.console, shown=shown)

    def _count_earlier(self, output: Output) -> list[str]:
        """Count the answers of earlier runs, and return the files without one."""
        files = []
        before = {_absolute(answer.file): answer for answer in output.answered}
        for file in self._inputs.files:
            # Standard input may be another picture each time.
            answer = None if file in self._inputs.contents else before.get(_absolute(file))
            if answer is None:
                files.append(file)
                continue
            self.tally.earlier += 1
            self._count(answer)
        return files

    def _answers(self, files: Sequence[str], resume: ResumeFile, bar: ProgressBar) -> Iterator[Answer]:
        client, inputs, wanted, jobs = self._client, self._inputs, self._wanted, self._options.jobs
        if len(files) <= MOST_SINGLE and not resume.has_batches(wanted):
            return SingleUploads(client, resume.salt, inputs, wanted, jobs, bar).answers(files)
        seconds = self._options.timeout or math.inf
        self._batch_run = BatchRun(client, resume, begun_batches(), inputs, wanted, jobs, seconds, bar)
        return self._batch_run.answers(files)

    def _count(self, answer: Answer) -> None:
        self.tally.add(answer)
        if answer.result is None:
            self._messages.error(f"{answer.file}: {answer.problem}")


def _absolute(file: str) -> str:
    return os.path.abspath(file)  # noqa: PTH100 - as `find_pictures`

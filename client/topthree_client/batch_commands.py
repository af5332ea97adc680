"""`topthree batch`: lists, shows, reads and cancels batches."""

import argparse
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from topthree_client.batch import Batch
from topthree_client.batch_answers import BatchState
from topthree_client.begun_batches import BegunBatch, begun_batches
from topthree_client.client import Client
from topthree_client.errors import BatchGone
from topthree_client.exit_codes import DONE, SOME_FAILED
from topthree_client.file_answers import Answer
from topthree_client.formats import printable, shown_time
from topthree_client.messages import Messages
from topthree_client.output import chosen_format, open_output
from topthree_client.summary import Tally, summary
from topthree_client.usage_error import STANDARD_OUTPUT, UsageError

# A batch that the service does not find stays in the list for so long: it may be found with another API key.
KEPT_IF_NOT_FOUND = timedelta(days=30)


def batch(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Run a command about batches, and return its exit code.

    Raises:
        UsageError: an option is not an id, or the output cannot be written.
        ServiceUnavailable: the service is unavailable.
    """
    commands = {"list": _list, "show": _show, "results": _results, "cancel": _cancel}
    return commands[options.batch_command](client, options, messages)


def _list(client: Client, _: argparse.Namespace, messages: Messages) -> int:
    """Print the batches that were begun on this computer; forget old ones that the service does not find."""
    begun = begun_batches()
    here, elsewhere = [], set()
    for each in begun.read():
        if _same(each.url, client.url):
            here.append(each)
        else:
            elsewhere.add(each.url)
    if not here:
        # No request for a batch shows whether the service can be used with this API key.
        client.status_details()
    rows = [(each, _state(client, each)) for each in here]
    forgotten = [each for each, state in rows if state is None and each.is_older_than(KEPT_IF_NOT_FOUND)]
    for each in forgotten:
        with suppress(OSError):
            begun.drop(each.id)
    rows = [(each, state) for each, state in rows if each not in forgotten]
    if rows:
        Console(highlight=False).print(_as_table(rows))
    else:
        messages.note(f"No batch at {client.url} was begun on this computer.")
    if not all(state for _, state in rows):
        messages.note("Not found: the service has forgotten these batches, or they belong to another API key.")
    if elsewhere:
        messages.note(f"Other batches are at {', '.join(sorted(elsewhere))}; use --url.")
    return DONE


def _show(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    try:
        state = _batch(client, options.batch_id).state()
    except BatchGone as error:
        messages.error(f"{options.batch_id}: {error}")
        return SOME_FAILED
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(state):
        table.add_row(name, value)
    Console(highlight=False).print(table)
    return DONE


def _results(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Print the results that the batch has, or write them to a file."""
    started = time.monotonic()
    form = chosen_format(options.format, options.out)
    found = _batch(client, options.batch_id)
    try:
        state = found.state()
        tally = Tally(state.counts.added)
        if options.out:
            _write_new(found, form, options.out, tally)
        else:
            _write(found, form, None, tally)
    except BatchGone as error:
        messages.error(f"{options.batch_id}: {error}")
        return SOME_FAILED
    # Those before the first picture that has not ended: results come in the order of adding.
    tally.unanswered = max(0, tally.total - tally.done)
    messages.summary(summary(tally, 0, options.out, time.monotonic() - started))
    if not state.has_ended:
        messages.note("The batch has not ended. Run the same command later for the other results.")
    return DONE if state.has_ended and tally.labelled + tally.unsure == tally.total else SOME_FAILED


def _cancel(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    batches = [_batch(client, batch_id) for batch_id in options.batch_ids]
    code = DONE
    for each in batches:
        try:
            if each.cancel():
                messages.note(f"{each.id}: canceled; its results are deleted")
                continue
            messages.error(f"{each.id}: {_why_not_canceled(each)}")
        except BatchGone as error:
            messages.error(f"{each.id}: {error}")
        code = SOME_FAILED
    return code


def _why_not_canceled(ended: Batch) -> str:
    if ended.state().state == "canceled":
        return "The batch was canceled before; its results are deleted."
    return "The batch had ended before; its results are kept."


def _batch(client: Client, batch_id: str) -> Batch:
    try:
        return client.existing_batch(batch_id)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _same(url: str, other: str) -> bool:
    return url.rstrip("/") == other.rstrip("/")


def _state(client: Client, each: BegunBatch) -> BatchState | None:
    """Return the state of a batch; None if the service does not find it."""
    try:
        return client.existing_batch(each.id).state()
    except BatchGone:
        return None


def _as_table(rows: Iterable[tuple[BegunBatch, BatchState | None]]) -> Table:
    table = Table("batch", "state", "ended", "begun", box=SIMPLE_HEAD)
    for each, state in rows:
        named = Text(f"{each.id}\n{printable(each.pictures)}", overflow="fold")
        # In two lines, a row fits 80 columns without a break in the id.
        begun = shown_time(each.begun_at).replace(" ", "\n", 1)
        ended = f"{state.counts.ended}/{state.counts.added}" if state else "-"
        table.add_row(named, state.state if state else "not found", ended, begun)
    return table


def _rows(state: BatchState) -> Sequence[tuple[str, str]]:
    counts = state.counts
    ends = [(name, getattr(counts, name)) for name in ("succeeded", "failed", "canceled", "expired", "open")]
    pictures = ", ".join([f"{counts.added} added", *(f"{count} {name}" for name, count in ends if count)])
    times = (("opened", state.times.opened), ("closed", state.times.closed), ("finished", state.times.finished))
    shown = [(name, shown_time(moment)) for name, moment in times if moment]
    if state.state == "canceled":
        shown.append(("results", "deleted, because the batch was canceled; they cannot be read any more"))
    return [("batch", printable(state.id)), ("state", printable(state.state)), ("pictures", pictures), *shown]


def _write_new(found: Batch, form: str, out: Path, tally: Tally) -> None:
    """Write the results to a new file, and put it in the place of `out`: an earlier one has fewer results."""
    new = out.with_name(out.name + ".new")
    try:
        if out.exists() and not out.is_file():
            raise UsageError(f"{out} cannot be written: it is not a regular file.")
        new.unlink(missing_ok=True)
        try:
            _write(found, form, new, tally)
            new.replace(out)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{out or STANDARD_OUTPUT} cannot be written: {error.strerror}.") from None


def _write(found: Batch, form: str, path: Path | None, tally: Tally) -> None:
    """Write the results that there are now, and count them."""
    count = labels = 0
    if form in ("csv", "table"):
        # The batch does not tell how many labels were wanted, so they are read twice.
        for each in found.results():
            count, labels = each.number, max(labels, len(each.result.labels) if each.result else 0)
    output = open_output(form, path, max(1, labels))
    try:
        for each in islice(found.results(), count if labels else None):
            answer = Answer(each.name, each.result, each.detail or "")
            output.add(answer)
            tally.add(answer)
    finally:
        output.close()

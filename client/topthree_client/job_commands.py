"""`topthree get` and `topthree cancel`: show and cancel single jobs."""

import argparse
import json
from collections.abc import Iterable
from contextlib import suppress

from rich.console import Console
from rich.table import Table
from rich.text import Text

from topthree_client.answers import Job
from topthree_client.client import Client
from topthree_client.errors import JobGone, PictureFailed
from topthree_client.exit_codes import DONE, SOME_FAILED
from topthree_client.formats import percent, printable, shown_time
from topthree_client.limits import check_id
from topthree_client.messages import Messages
from topthree_client.usage_error import UsageError


def get(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Print a job, and return whether it has labels as the exit code.

    Raises:
        UsageError: the option is not an id.
        ServiceUnavailable: the service is unavailable.
    """
    _check_ids([options.job_id])
    try:
        if options.wait:
            with suppress(PictureFailed):
                client.wait(options.job_id)
        job = client.get(options.job_id)
    except (JobGone, TimeoutError) as error:
        messages.error(str(error))
        return SOME_FAILED
    if options.format == "json":
        print(json.dumps(job.to_dict()), flush=True)  # noqa: T201 - the command's output
    else:
        Console(highlight=False).print(_as_table(job))
    return DONE if job.state == "succeeded" else SOME_FAILED


def cancel(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Cancel jobs, and return whether all are canceled as the exit code; raises as `get`."""
    _check_ids(options.job_ids)
    code = DONE
    for job_id in options.job_ids:
        try:
            if client.cancel(job_id):
                messages.note(f"{job_id}: canceled")
                continue
            messages.error(f"{job_id}: The job has ended; its result is kept.")
        except JobGone as error:
            messages.error(f"{job_id}: {error}")
        code = SOME_FAILED
    return code


def _check_ids(job_ids: Iterable[str]) -> None:
    try:
        for job_id in job_ids:
            check_id(job_id, "a job")
    except ValueError as error:
        raise UsageError(str(error)) from None


def _as_table(job: Job) -> Table:
    rows = [("job", job.id), ("state", job.state)]
    if job.position:
        rows.append(("position", str(job.position)))
    if job.detail:
        rows.append(("reason", job.detail))
    if job.result:
        labels = [f"{label.name} {percent(label.confidence)}" for label in job.result.labels]
        rows += [("labels" if not place else "", label) for place, label in enumerate(labels)]
        rows.append(("model", f"{job.result.model} ({job.result.digest[:12]})"))
    if job.times:
        times = (("accepted", job.times.accepted), ("started", job.times.begun), ("finished", job.times.finished))
        rows += [(name, shown_time(moment)) for name, moment in times if moment]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, Text(printable(value), overflow="fold"))
    return table

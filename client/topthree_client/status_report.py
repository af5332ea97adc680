"""Prints the status of the service."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from topthree_client.answers import Status
from topthree_client.formats import printable


def print_status(url: str, status: Status) -> None:
    """Print the workers and the job counts."""
    jobs = status.jobs
    lines = [
        url,
        f"workers: {len(status.workers)} ready" + ("" if status.workers else "; pictures wait"),
        f"jobs: {jobs.open - jobs.running} queued, {jobs.running} running, {jobs.failed} failed recently",
    ]
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(printable(line)))
    if status.workers:
        table = Table("worker", "model", "engine", "processes", box=SIMPLE_HEAD)
        for worker in status.workers:
            model = f"{worker.model} ({worker.digest[:12]})"
            cells = (worker.name, model, worker.engine, str(worker.children))
            table.add_row(*(Text(printable(cell), overflow="fold") for cell in cells))
        console.print(table)
    if jobs.failed:
        console.print("Run `make failed` on the service's host to see why jobs failed.", markup=False)

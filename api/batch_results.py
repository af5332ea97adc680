"""Formats the results of a batch: a JSON object or a CSV record per picture."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from shared.batches.answer import result_answer
from shared.batches.models import BatchResult

NDJSON, CSV = "application/x-ndjson", "text/csv"
# Spreadsheets would take a cell that begins so for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def json_lines(pages: Iterable[list[BatchResult]]) -> Iterator[bytes]:
    """Yield each page as JSON objects, one per line."""
    for page in pages:
        yield "".join(json.dumps(result_answer(found)) + "\n" for found in page).encode()


def csv_lines(pages: Iterable[list[BatchResult]], top: int, *, with_header: bool) -> Iterator[bytes]:
    """Yield each page as CSV records, with columns for `top` labels; cells that look like formulas begin with `'`."""
    if with_header:
        labels = [name for place in range(1, top + 1) for name in (f"label_{place}", f"confidence_{place}")]
        yield _record(["number", "name", "id", "status", *labels, "problem"]).encode()
    for page in pages:
        yield "".join(_record(_cells(found, top)) for found in page).encode()


def _cells(found: BatchResult, top: int) -> list[object]:
    labels = [
        cell for each in (found.result or {}).values() for cell in (each["predicted_label"], each["confidence_level"])
    ]
    labels += [""] * (2 * top - len(labels))
    told = found.problem or {}
    problem = f"{told['title']}: {told['detail']}" if told else ""
    return [found.number, found.name, found.job_id, found.status, *labels[: 2 * top], problem]


def _record(cells: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(
        [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell for cell in cells]
    )
    return text.getvalue()

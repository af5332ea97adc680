"""Writes answers to a file or standard output, and reads the answers of an earlier run."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from rich.console import Console

from topthree_client.arguments import FORMATS
from topthree_client.file_answers import Answer
from topthree_client.formats import (
    BadOutput,
    CsvLines,
    JsonLines,
    LineFormat,
    as_json,
    as_narrow_table,
    as_table,
    check_labels,
    from_json,
)
from topthree_client.usage_error import UsageError

# Width of a table if standard output is not a terminal.
NO_WINDOW_COLUMNS = 10_000


class Output(Protocol):
    """Receives answers and writes them."""

    @property
    def answered(self) -> Sequence[Answer]:
        """The answers of an earlier run."""

    def add(self, answer: Answer) -> None:
        """Add an answer."""

    def close(self) -> None:
        """Write all answers that are not written yet."""


class Lines:
    """Writes each answer immediately, as a line."""

    def __init__(self, form: LineFormat, path: Path | None) -> None:
        """Append to the file at `path` after its last complete line; without a path, write to standard output.

        Raises:
            BadOutput, OSError: the file cannot be continued.
        """
        self._form = form
        self._is_own = path is not None
        self.answered, self._file = self._continued(path) if path else ([], sys.stdout.buffer)
        if not path or self._file.tell() == 0:
            self._write(form.header)

    def _continued(self, path: Path) -> tuple[list[Answer], BinaryIO]:
        answered, end = self._form.read(path.read_bytes()) if path.exists() else ([], 0)
        file = path.open("ab")
        file.truncate(end)
        file.seek(end)
        return answered, file

    def add(self, answer: Answer) -> None:
        self._write(self._form.line(answer))

    def _write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "surrogateescape"))
        self._file.flush()

    def close(self) -> None:
        if self._is_own:
            self._file.close()


class Array:
    """Writes one JSON array at the end."""

    def __init__(self, path: Path | None, top: int) -> None:
        """Extend the array in the file at `path`; raises as `Lines`."""
        self._path = path
        self.answered: list[Answer] = []
        if path and path.exists():
            try:
                self.answered = [from_json(each) for each in json.loads(path.read_bytes())]
            except (AttributeError, KeyError, TypeError, ValueError):
                raise BadOutput("it is not a JSON array written by this command") from None
            check_labels(self.answered, top)
        self._answers = list(self.answered)

    def add(self, answer: Answer) -> None:
        self._answers.append(answer)

    def close(self) -> None:
        text = json.dumps([as_json(answer) for answer in _by_name(self._answers)], indent=1) + "\n"
        if self._path is None:
            sys.stdout.write(text)
            return
        # Replace the file atomically.
        new = self._path.with_name(self._path.name + ".new")
        new.write_text(text, "ascii")
        new.replace(self._path)


class TableOutput:
    """Prints a table at the end."""

    answered: Sequence[Answer] = ()

    def __init__(self, top: int) -> None:
        self._top = top
        self._answers: list[Answer] = []

    def add(self, answer: Answer) -> None:
        self._answers.append(answer)

    def close(self) -> None:
        if not self._answers:
            return
        console = Console(width=None if sys.stdout.isatty() else NO_WINDOW_COLUMNS)
        answers = _by_name(self._answers)
        table = as_table(answers, self._top)
        fits = Console(width=NO_WINDOW_COLUMNS).measure(table).maximum <= console.width
        console.print(table if fits else as_narrow_table(answers))


def _by_name(answers: Sequence[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda answer: answer.file)


def chosen_format(form: str | None, out: Path | None) -> str:
    """Return the format that was asked for, or that of the extension of `out`; UsageError if `out` cannot have it."""
    suffix = out.suffix[1:].lower() if out else ""
    form = form or (suffix if suffix in FORMATS else "table")
    if form == "table" and out:
        raise UsageError("--out needs a file name ending in .json, .jsonl or .csv, or --format json, jsonl or csv.")
    return form


def open_output(form: str, path: Path | None, top: int) -> Output:
    """Return the output for a format: table, json, jsonl or csv; tables go to standard output.

    Raises:
        BadOutput, OSError: the file at `path` cannot be continued.
    """
    # Reading from a device may block forever.
    if path and path.exists() and not path.is_file():
        raise BadOutput("it is not a regular file")
    if form == "table":
        return TableOutput(top)
    if form == "json":
        return Array(path, top)
    return Lines(CsvLines(top) if form == "csv" else JsonLines(top), path)

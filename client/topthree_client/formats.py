"""Output formats: CSV, JSON Lines, a JSON array, and a table for terminals."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from topthree_client.answers import Label, Result
from topthree_client.file_answers import Answer


class BadOutput(ValueError):
    """An existing output file was not written by this command with the same format and options."""


class LineFormat(Protocol):
    """A format that is appended line by line, so that an interrupted output file can be continued."""

    header: str

    def line(self, answer: Answer) -> str:
        """Return an answer as a line."""

    def read(self, data: bytes) -> tuple[list[Answer], int]:
        """Return the answers in `data` and their length in bytes, without an incomplete last line.

        Raises:
            BadOutput: `data` was not written by this command.
        """


def check_labels(answers: Iterable[Answer], top: int) -> None:
    """Raise BadOutput if an answer has more than `top` labels. It may have fewer: a model may know no more."""
    if any(len(answer.result.labels) > top for answer in answers if answer.result):
        raise BadOutput(f"it was not made with --top {top}; use another file or the same --top")


class JsonLines:
    """One JSON object per line. In file names, bytes that are not UTF-8 are kept as lone surrogates."""

    header = ""
    _beginning = b'{"file": "'

    def __init__(self, top: int) -> None:
        self._top = top

    def line(self, answer: Answer) -> str:
        return json.dumps(as_json(answer)) + "\n"

    def read(self, data: bytes) -> tuple[list[Answer], int]:
        end = data.rfind(b"\n") + 1
        cut = data[end:]
        if cut[: len(self._beginning)] != self._beginning[: len(cut)]:
            raise BadOutput("its last line was not written by this command")
        try:
            answers = [from_json(json.loads(line)) for line in data[:end].splitlines()]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadOutput("it has lines that this command did not write") from None
        check_labels(answers, self._top)
        return answers, end


class CsvLines:
    """One record per file, with a column for each label and confidence; file names are kept byte for byte."""

    def __init__(self, top: int) -> None:
        places = [name for place in range(1, top + 1) for name in (f"label_{place}", f"confidence_{place}")]
        self._top = top
        self.header = _csv(["file", *places, "model", "digest", "error"])

    def line(self, answer: Answer) -> str:
        result = answer.result
        labels = result.labels if result else ()
        cells: list[str | float] = [cell for label in labels for cell in (label.name, label.confidence)]
        cells += [""] * (2 * self._top - len(cells))
        return _csv([answer.file, *cells, *((result.model, result.digest) if result else ("", "")), answer.problem])

    def read(self, data: bytes) -> tuple[list[Answer], int]:
        header = self.header.encode()
        if data[: len(header)] != header[: len(data)]:
            raise BadOutput(f"it was not made with --top {self._top}; use another file or the same --top")
        if len(data) < len(header):
            return [], 0
        end = _end_of_records(data)
        rows = csv.reader(io.StringIO(data[len(header) : end].decode("utf-8", "surrogateescape"), newline=""))
        try:
            return [self._answer(row) for row in rows], end
        except (ValueError, csv.Error):
            raise BadOutput("it has lines that this command did not write") from None

    def _answer(self, row: list[str]) -> Answer:
        file, *cells, model, digest, problem = row
        if problem:
            return Answer(file, problem=problem)
        pairs = zip(cells[::2], cells[1::2], strict=True)
        return Answer(file, Result(tuple(Label(name, float(given)) for name, given in pairs if name), model, digest))


def _csv(cells: list[str | float]) -> str:
    text = io.StringIO()
    # Quote all text: Python 3.11 leaves a lone carriage return unquoted, and reads it as the end of a record.
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerow(cells)
    return text.getvalue()


def _end_of_records(data: bytes) -> int:
    """Return the end of the last complete record: a line break outside quotes."""
    end, position, quotes = 0, 0, 0
    for line in data.splitlines(keepends=True):
        position += len(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0 and line.endswith(b"\n"):
            end = position
    return end


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as a JSON object."""
    if answer.result is None:
        return {"file": answer.file, "error": answer.problem}
    result = answer.result
    labels = [{"label": label.name, "confidence": label.confidence} for label in result.labels]
    return {"file": answer.file, "labels": labels, "model": {"name": result.model, "digest": result.digest}}


def from_json(given: dict[str, Any]) -> Answer:
    """Parse an object written by `as_json`; KeyError, TypeError or AttributeError for anything else."""
    if "error" in given:
        return Answer(given["file"], problem=given["error"])
    labels = tuple(Label(each["label"], each["confidence"]) for each in given["labels"])
    return Answer(given["file"], Result(labels, given["model"]["name"], given["model"]["digest"]))


def as_table(answers: Iterable[Answer], top: int) -> Table:
    """Return the answers as a table with a row for each picture."""
    table = Table("file", *(str(place) for place in range(1, top + 1)), box=SIMPLE_HEAD)
    for answer in answers:
        labels = answer.result.labels if answer.result else ()
        cells = [_label(label) for label in labels] or [answer.problem]
        table.add_row(Text(printable(answer.file), overflow="fold"), *(Text(printable(cell)) for cell in cells))
    return table


def as_narrow_table(answers: Iterable[Answer]) -> Table:
    """Return the answers as a table with a row for each label."""
    table = Table("file", "labels", box=SIMPLE_HEAD)
    for answer in answers:
        labels = answer.result.labels if answer.result else ()
        cell = "\n".join(printable(_label(label)) for label in labels) or printable(answer.problem)
        table.add_row(Text(printable(answer.file), overflow="fold"), Text(cell, overflow="fold"))
    return table


def percent(confidence: float) -> str:
    """Return a confidence from 0 to 1 as people read it: "69.7%", "<0.1%"."""
    return "<0.1%" if confidence < 0.001 else f"{100 * confidence:.1f}%"


def shown_time(moment: datetime) -> str:
    """Return a time as people read it, with its zone: "2026-11-27 19:00:58 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _label(label: Label) -> str:
    return f"{label.name} {percent(label.confidence)}"


def printable(text: str) -> str:
    """Return the text with all non-printable characters escaped, so that it cannot control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)

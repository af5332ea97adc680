"""Counts the answers of a command, and says them in a line."""

from dataclasses import dataclass
from pathlib import Path

from topthree_client.file_answers import Answer


@dataclass
class Tally:
    """How many of `total` pictures have labels, have none, or are not answered; `earlier` ones are from other runs."""

    total: int
    labelled: int = 0
    unsure: int = 0
    failed: int = 0
    unanswered: int = 0
    earlier: int = 0

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.result is None:
            self.failed += answer.final
            self.unanswered += not answer.final
        elif answer.result.labels:
            self.labelled += 1
        else:
            self.unsure += 1

    @property
    def done(self) -> int:
        """The number of pictures that have an answer or will get none in this run."""
        return self.labelled + self.unsure + self.failed + self.unanswered


def summary(tally: Tally, unreadable: int, out: Path | None, seconds: float) -> str:
    """Return the line: "400 pictures: 397 labelled, 3 failed -> many.csv, 7 s"."""
    counts = [f"{tally.labelled} labelled"]
    for number, what in (
        (tally.unsure, "below --min-confidence"),
        (tally.failed, "failed"),
        (tally.unanswered, "not answered"),
    ):
        if number:
            counts.append(f"{number} {what}")
    if unreadable:
        counts.append(f"{unreadable} {_plural('path', unreadable)} not read")
    earlier = f" ({tally.earlier} by an earlier run)" if tally.earlier else ""
    place = f" -> {out}" if out else ""
    pictures = f"{tally.total} {_plural('picture', tally.total)}{earlier}"
    return f"{pictures}: {', '.join(counts)}{place}, {_duration(seconds)}"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

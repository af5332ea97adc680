"""Shows on a terminal how far a command is."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """A bar with the number of pictures that are done, of all; use it in a `with` statement."""

    def __init__(self, total: int, console: Console, *, shown: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, redirect_stdout=False, disable=not shown)
        self.total = total
        self._task = self._progress.add_task("", total=total)
        self._done = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, what: str, done: int) -> None:
        """Start a phase, such as "sending", of which so many pictures are done already."""
        self._done = done
        self._progress.reset(self._task, total=self.total, description=what, completed=done)

    def reach(self, done: int) -> None:
        """Show that so many pictures are done in this phase; the bar never goes back."""
        self._done = max(self._done, min(done, self.total))
        self._progress.update(self._task, completed=self._done)

    def advance(self, count: int) -> None:
        """Show that so many more pictures are done in this phase."""
        self.reach(self._done + count)

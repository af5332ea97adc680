"""What the command line says on standard error, beside the answers on standard output."""

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from topthree_client.formats import printable
from topthree_client.waits import waits_told

QUIET, NORMAL, VERBOSE = -1, 0, 1


class Messages:
    """Prints errors always, notes unless the user wants quiet, and details for those who want them."""

    def __init__(self, verbosity: int = NORMAL) -> None:
        self.console = Console(stderr=True)
        self._verbosity = verbosity

    @property
    def quiet(self) -> bool:
        """Whether only errors are wanted."""
        return self._verbosity == QUIET

    def error(self, text: str) -> None:
        """Print what went wrong."""
        self._print(f"topthree: {text}")

    def note(self, text: str) -> None:
        """Print what is good to know."""
        if not self.quiet:
            self._print(f"topthree: {text}")

    def summary(self, text: str) -> None:
        """Print how the command ended."""
        if not self.quiet:
            self._print(text)

    def waits_told(self) -> AbstractContextManager[None]:
        """Print what the client waits for while the context lasts; verbosely, each request too."""
        if self.quiet:
            return nullcontext()
        return waits_told(self.note, verbose=self._verbosity == VERBOSE)

    def _print(self, text: str) -> None:
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

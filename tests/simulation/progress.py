"""Says on standard error how far a run of many seeds is: 100,000 take about an hour."""

import sys
import time

STEPS = 10


class Progress:
    """Prints a line whenever another tenth of the seeds is done."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._done = 0
        self._began = time.monotonic()

    def add(self, seeds: int, failed: int) -> None:
        """Count `seeds` more that are done; `failed` are all that have failed so far."""
        before, self._done = self._done, self._done + seeds
        if self._step(self._done) > self._step(before):
            seconds = time.monotonic() - self._began
            text = f"{self._done} of {self._seeds} seeds, {failed} failed, {seconds:.0f} s"
            print(text, file=sys.stderr, flush=True)

    def _step(self, done: int) -> int:
        return STEPS * done // self._seeds

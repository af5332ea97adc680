"""How often the model ran batches of each size."""

import threading
from collections import Counter


class BatchSizes:
    """A histogram that several threads may write and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: Counter[int] = Counter()

    def add(self, size: int) -> None:
        """Count one batch of `size` pictures."""
        with self._lock:
            self._batches[size] += 1

    def counts(self) -> dict[int, int]:
        """Return how many batches there were of each size, the smallest size first."""
        with self._lock:
            return dict(sorted(self._batches.items()))

    def __str__(self) -> str:
        counts = self.counts()
        told = ", ".join(f"{batches} of {size}" for size, batches in counts.items())
        pictures = sum(size * batches for size, batches in counts.items())
        return f"{pictures} pictures in {sum(counts.values())} batches ({told or 'none'})"

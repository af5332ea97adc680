"""How much memory the processes of a service have had at most."""

import threading
from contextlib import suppress
from pathlib import Path

from tests.support.supervised import children

MEBIBYTE = 1024 * 1024
SAMPLE_SECONDS = 0.2


def peak_bytes(pid: int) -> int:
    """Return the most resident memory a process has ever had, 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


class Peaks:
    """Watches an API, a worker and the worker's children, of whom some may die."""

    def __init__(self, api: int, worker: int) -> None:
        self._processes = {"API": api, "worker parent": worker}
        self._worker = worker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peaks")
        self.bytes = {"API": 0, "worker parent": 0, "worker children": 0}
        self.children_seen: set[int] = set()
        self._sample()
        self.child_at_rest = self.bytes["worker children"]

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for name, pid in self._processes.items():
            self.bytes[name] = max(self.bytes[name], peak_bytes(pid))
        found = children(self._worker)
        self.children_seen.update(found)
        self.bytes["worker children"] = max([self.bytes["worker children"], *map(peak_bytes, found)])

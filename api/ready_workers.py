"""What this API process knows about the ready workers: a thread reads them every second, so that no request does."""

import logging
import threading
import time

import redis

from shared.worker_registry import WorkerRegistry

log = logging.getLogger(__name__)

# A worker is ready for longer than this before its first job ends, and results are cached under the version of the
# worker that computed them: a result version that is a second old causes a cache miss, never a result of another model.
READ_SECONDS = 1.0
# While none is ready, requests read the workers themselves, but all together no more often than this.
RECENT_SECONDS = 0.1


class ReadyWorkers:
    """The workers' result version, and whether none has been ready for the grace time.

    While Redis does not answer, nothing is known: there is no result version, and the grace time begins again.
    """

    def __init__(self, registry: WorkerRegistry, grace_seconds: float) -> None:
        """Shorter absences than `grace_seconds` are restarts and do not count."""
        self._registry = registry
        self._grace_seconds = grace_seconds
        self._result_version = ""
        self._missing_since: float | None = None
        self._read_at = 0.0

    def start(self) -> None:
        """Read the workers every READ_SECONDS, in a thread."""
        threading.Thread(target=self._follow, name="ready-workers", daemon=True).start()

    def read(self) -> None:
        """Read the workers now."""
        self._read_at = time.monotonic()
        try:
            ready = self._registry.ready()
        except redis.RedisError:
            self._result_version, self._missing_since = "", None
            return
        versions = {record.result_version for record in ready}
        self._result_version = versions.pop() if len(versions) == 1 else ""
        if ready:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = time.monotonic()

    @property
    def result_version(self) -> str:
        """The result version of all ready workers; "" if there are none, or if their versions differ."""
        return self._result_version

    def absent(self) -> bool:
        """Return whether no worker has been ready for the grace time.

        Reads the workers again before it says so: the first one may have started since the thread last read them.
        """
        if self._seems_absent() and time.monotonic() > self._read_at + RECENT_SECONDS:
            self.read()
        return self._seems_absent()

    def _seems_absent(self) -> bool:
        since = self._missing_since  # once: the thread may change it
        return since is not None and time.monotonic() >= since + self._grace_seconds

    def _follow(self) -> None:
        while True:
            try:
                self.read()
            except Exception:
                # Such as a record of a later version. The next look may be better.
                log.exception("The ready workers cannot be read")
            time.sleep(READ_SECONDS)

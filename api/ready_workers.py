"""Keeps track of the ready workers in a thread that reads them every second, to save requests that time."""

import logging
import threading
import time

import redis

from shared.worker_registry import WorkerRegistry

log = logging.getLogger(__name__)

# Results are cached under the version of the worker that computed them, and a worker is ready for longer than this
# before its first job ends. So an outdated result version causes a cache miss, never a result of another model.
READ_SECONDS = 1.0


class ReadyWorkers:
    """The workers' result version, and whether none has been ready for the grace time.

    While Redis does not answer, there is no result version, and the grace time starts again afterwards.
    """

    def __init__(self, registry: WorkerRegistry, grace_seconds: float) -> None:
        """An absence of less than `grace_seconds` counts as a restart."""
        self._registry = registry
        self._grace_seconds = grace_seconds
        self._result_version = ""
        self._missing_since: float | None = None
        self._read_at = 0.0
        self._reading = threading.Lock()

    def start(self) -> None:
        """Read the workers every READ_SECONDS, in a thread."""
        threading.Thread(target=self._follow, name="ready-workers", daemon=True).start()

    def read(self) -> None:
        """Read the workers now."""
        with self._reading:
            self._read()

    @property
    def result_version(self) -> str:
        """The result version of all ready workers; "" if there are none, or if their versions differ."""
        return self._result_version

    def absent(self) -> bool:
        """Return whether no worker has been ready for the grace time.

        Returns True only after a read that began after this call: a worker may have started since the last one. One
        read answers all calls that wait for it.
        """
        asked_at = time.monotonic()
        if not self._seems_absent():
            return False
        with self._reading:
            if self._read_at < asked_at:
                self._read()
        return self._seems_absent()

    def _read(self) -> None:
        began = time.monotonic()
        try:
            ready = self._registry.ready()
        except redis.RedisError:
            self._result_version, self._missing_since = "", None
        else:
            versions = {record.result_version for record in ready}
            self._result_version = versions.pop() if len(versions) == 1 else ""
            if ready:
                self._missing_since = None
            elif self._missing_since is None:
                self._missing_since = time.monotonic()
        self._read_at = began

    def _seems_absent(self) -> bool:
        since = self._missing_since  # read once: the thread may change it
        return since is not None and time.monotonic() >= since + self._grace_seconds

    def _report(self, reported: bool) -> bool:
        """Log a change, once; return whether the workers are absent."""
        absent = self._seems_absent()
        if absent and not reported:
            log.warning("No worker is running: jobs are accepted and wait")
        elif reported and not absent:
            log.info("A worker is ready again")
        return absent

    def _follow(self) -> None:
        reported = False
        while True:
            try:
                self.read()
                reported = self._report(reported)
            except Exception:
                # For example a record written by a later version. The next read may succeed.
                log.exception("The ready workers cannot be read")
            time.sleep(READ_SECONDS)

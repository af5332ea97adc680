"""Circuit breaker for an image store: only a probe, not one failed object, decides that the store is unavailable."""

import logging
import threading
from collections.abc import Callable

from shared.images.store import ImageStoreAway

log = logging.getLogger(__name__)

RECHECK_SECONDS = 1.0


class StoreAvailability:
    """Remembers that the store is unavailable, so that further calls fail at once instead of timing out."""

    def __init__(self, probe: Callable[[], None], patient_probe: Callable[[], None], most_pause_seconds: float) -> None:
        """`probe` raises if the store cannot be used, TimeoutError if it does not answer in time.

        `patient_probe` does the same with a longer time limit, in the background: a store that is only slow is
        available. After time-outs the pauses between probes grow to `most_pause_seconds`, because each probe that
        times out may leave a hanging thread.
        """
        self._probe = probe
        self._patient_probe = patient_probe
        self._most_pause_seconds = most_pause_seconds
        self._lock = threading.Lock()
        self._reason = ""
        self._back = False
        self._answered = threading.Event()

    def check(self) -> None:
        """Raise ImageStoreAway while the store is known to be unavailable; does no I/O."""
        with self._lock:
            reason, back, self._back = self._reason, self._back, False
        if back:
            log.warning("The image store is available again.")
        if reason:
            raise ImageStoreAway(reason)

    def confirm(self, error: BaseException) -> None:
        """Probe the store after an `error` with one object; raise ImageStoreAway if the probe fails too."""
        try:
            self._probe()
        except Exception as found:
            # If the probe only timed out, the object's error says more.
            reason = describe(error if isinstance(found, TimeoutError) else found)
            self.mark_away(reason)
            raise ImageStoreAway(reason) from error

    def mark_away(self, reason: str) -> None:
        """Remember that the store is unavailable, and probe it in the background until it is available."""
        with self._lock:
            already, self._reason = self._reason, reason
        if already:
            return
        log.warning("The image store is unavailable: %s", reason)
        try:
            threading.Thread(target=self._look_out, name="image store probe", daemon=True).start()
        except RuntimeError:
            # No thread can be started now: count the store as available, so that the next call tries it.
            with self._lock:
                self._reason = ""

    def answered(self) -> None:
        """Record that a call has returned or raised after its time limit: run the next probe at once."""
        self._answered.set()

    def _look_out(self) -> None:
        # No logging here: a worker's main process forks children, in which a lock held by this thread stays locked.
        pause_seconds = RECHECK_SECONDS
        while True:
            self._answered.wait(pause_seconds)
            self._answered.clear()
            try:
                self._patient_probe()
            except TimeoutError:
                pause_seconds = min(2 * pause_seconds, self._most_pause_seconds)
            except Exception:
                pause_seconds = RECHECK_SECONDS
                # This probe called `answered` itself: do not skip the pause for that.
                self._answered.clear()
            else:
                break
        with self._lock:
            self._reason, self._back = "", True


def describe(error: BaseException) -> str:
    """Return the message of an error, or its type if the message is empty, for the log."""
    return str(error) or type(error).__name__

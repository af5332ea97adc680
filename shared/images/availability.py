"""Whether an image store is there: one object's error does not say so, a probe of the store does."""

import logging
import threading
from collections.abc import Callable

from shared.images.store import ImageStoreAway

log = logging.getLogger(__name__)

RECHECK_SECONDS = 1.0


class StoreAvailability:
    """A circuit breaker: remembers that the store is away, so that the next calls find out at once."""

    def __init__(self, probe: Callable[[], None], patient_probe: Callable[[], None], most_pause_seconds: float) -> None:
        """`probe` raises when the store cannot be used, TimeoutError when it does not answer in time.

        `patient_probe` does the same in the background, where nobody waits for it: a slow store is not away. After
        time-outs the pauses between probes grow to `most_pause_seconds`: each may leave a thread behind.
        """
        self._probe = probe
        self._patient_probe = patient_probe
        self._most_pause_seconds = most_pause_seconds
        self._lock = threading.Lock()
        self._reason = ""
        self._back = False
        self._answered = threading.Event()

    def check(self) -> None:
        """Raise ImageStoreAway, without any I/O, while the store is known to be away."""
        with self._lock:
            reason, back, self._back = self._reason, self._back, False
        if back:
            log.warning("The image store is back.")
        if reason:
            raise ImageStoreAway(reason)

    def confirm(self, error: BaseException) -> None:
        """Probe the store after an object's `error`; raises ImageStoreAway if it is the store that fails."""
        try:
            self._probe()
        except Exception as found:
            # A probe that only timed out tells less than what led to it.
            reason = describe(error if isinstance(found, TimeoutError) else found)
            self.mark_away(reason)
            raise ImageStoreAway(reason) from error

    def mark_away(self, reason: str) -> None:
        """Remember that the store is away, and look for it in the background until it is back."""
        with self._lock:
            already, self._reason = self._reason, reason
        if already:
            return
        log.warning("The image store is away: %s", reason)
        try:
            threading.Thread(target=self._look_out, name="image store probe", daemon=True).start()
        except RuntimeError:
            # No thread can be started now: the next call looks for itself, and tries again.
            with self._lock:
                self._reason = ""

    def answered(self) -> None:
        """Note that a probe was answered, well or not, and perhaps too late: the next one comes at once."""
        self._answered.set()

    def _look_out(self) -> None:
        # It logs nothing: a worker's main process forks children, and a lock held meanwhile would stay locked in them.
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
                # What this probe noted of itself is no reason for the next one.
                self._answered.clear()
            else:
                break
        with self._lock:
            self._reason, self._back = "", True


def describe(error: BaseException) -> str:
    """Return an error in its library's own words, for the log."""
    return str(error) or type(error).__name__

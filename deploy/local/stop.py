"""`python -m deploy.local.stop`: stops this checkout's `make run` on port PORT."""

import os
import signal
import sys
import time
from contextlib import suppress

from deploy.local.instance import POLL_SECONDS, STOP_SECONDS, Instance
from deploy.local.output import say
from shared.settings import Settings, SettingsError

# Longer than `make run` needs: it kills hanging processes itself.
WAIT_SECONDS = STOP_SECONDS + 5


def main() -> int:
    """Stop the service and wait until it has ended; return the exit code."""
    try:
        instance = Instance(Settings.from_environ(os.environ).port)
        return stop(instance)
    except SettingsError as error:
        say(f"make stop: {error}")
        return 2
    except OSError as error:
        say(f"make stop: {error.filename or 'the process'}: {error.strerror}")
        return 1


def stop(instance: Instance) -> int:
    """Send SIGTERM to the holder and wait until the instance has ended; return the exit code.

    Raises OSError if this user may not signal the holder.
    """
    if not instance.is_running():
        say(f"make stop: no `make run` of this checkout is running on port {instance.port}")
        return 0
    deadline = time.monotonic() + WAIT_SECONDS
    told = None
    while instance.is_running():
        holder = instance.holder()
        if holder and told and holder != told:
            # A new `make run` has been started since.
            break
        if holder and not told:
            told = holder
            # If the holder has just ended, the other processes end by themselves.
            with suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            say(f"make stop: the `make run` on port {instance.port} has not ended within {WAIT_SECONDS} s ({told})")
            return 1
        time.sleep(POLL_SECONDS)
    say(f"make stop: the `make run` on port {instance.port} has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())

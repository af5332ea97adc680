"""`python -m deploy.local.stop`: stops the `make run` of this checkout that has the port PORT."""

import os
import signal
import sys
import time
from contextlib import suppress

from deploy.local.instance import POLL_SECONDS, STOP_SECONDS, Instance
from deploy.local.output import say
from shared.settings import Settings, SettingsError

# More than `make run` takes: it knows better what to kill.
WAIT_SECONDS = STOP_SECONDS + 5


def main() -> int:
    """Stop it and wait until it is gone; return the exit code."""
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
    """Tell its process to stop and wait; return the exit code; OSError if this user may not."""
    if not instance.is_running():
        say(f"make stop: no `make run` of this checkout is running on port {instance.port}")
        return 0
    deadline = time.monotonic() + WAIT_SECONDS
    told = None
    while instance.is_running():
        holder = instance.holder()
        if holder and told and holder != told:
            # Another one has been started meanwhile.
            break
        if holder and not told:
            told = holder
            # Without it the others end by themselves.
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

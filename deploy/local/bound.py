"""`python bound.py PARENT COMMAND...`: runs a command that is told to stop (SIGTERM) when its parent process ends.

On Linux the kernel sees to it, however the parent ends. Elsewhere the command is run as it is.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the command; `parent` is the process id of who started this one."""
    if sys.platform == "linux":
        # Inherited by what this process becomes.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended before the kernel was told.
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 - without a shell is what is wanted
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

"""`python bound.py PARENT COMMAND...`: runs a command that gets SIGTERM when its parent process ends.

On Linux the kernel sends the signal, however the parent ends. On other systems the command runs without it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replace this process by the command; `parent` is the id of the process that started this one."""
    if sys.platform == "linux":
        # The setting survives execv.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have ended before the call.
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 - deliberately without a shell
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

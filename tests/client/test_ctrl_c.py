"""Ctrl-C at any moment ends the command without a traceback."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import COMMAND, ENVIRON
from tests.support.wait import eventually

# A name that is looked up in vain for long, or a port that nobody answers, would not matter: the signal comes first.
ARGUMENTS = ["status", "--url", "http://127.0.0.1:9"]


def started() -> subprocess.Popen[bytes]:
    environ = {**os.environ, **ENVIRON}
    return subprocess.Popen([*COMMAND, *ARGUMENTS], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def loaded(running: subprocess.Popen[bytes], name: str) -> bool:
    """Whether a module's shared library is mapped, which shows how far the imports are."""
    try:
        return name in Path(f"/proc/{running.pid}/maps").read_text()
    except OSError:
        return False


# Libraries of Python that the command's imports need, one after the other; some builds of Python contain them.
@pytest.mark.parametrize("library", ["_hashlib", "_socket", "_ssl", "unicodedata", "_uuid", "mmap", "_queue"])
def test_ctrl_c_while_modules_are_imported(library: str) -> None:
    # Given a command that has come so far in its imports
    running = started()
    eventually(lambda: loaded(running, library) or running.poll() is not None, what="the import, or the end")
    # When Ctrl-C comes
    running.send_signal(signal.SIGINT)
    # Then it ends without a traceback; if it had been faster, it says that nobody answers
    _, told = running.communicate(timeout=30)
    assert b"Traceback" not in told and b"KeyboardInterrupt" not in told, told
    assert running.returncode in (130, -signal.SIGINT, 3)


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    # Given a command in the background of a script, which ignores Ctrl-C
    script = 'trap "" INT; exec "$@"'
    environ = {**os.environ, **ENVIRON}
    program = "import signal; from topthree_client import __main__, command_line\n"
    program += "command_line.main = lambda: signal.getsignal(signal.SIGINT) == signal.SIG_IGN\n"
    program += "raise SystemExit(__main__.main() is not True)"
    command = ["sh", "-c", script, "sh", COMMAND[0], "-c", program]
    # When it runs, Then the signal is ignored
    assert subprocess.run(command, env=environ, timeout=60, check=False).returncode == 0


def test_nothing_slow_is_imported_before_ctrl_c_is_handled() -> None:
    # Given Python without what its environment imports at the start
    program = "import sys; before = set(sys.modules); import topthree_client.__main__; "
    program += "print(*sorted(set(sys.modules) - before))"
    # When the command's first module is imported, Then nothing else is, but for small modules of the package
    command = [COMMAND[0], "-S", "-c", program]
    environ = {**os.environ, **ENVIRON}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["topthree_client", "topthree_client.__main__", "topthree_client.exit_codes"]
